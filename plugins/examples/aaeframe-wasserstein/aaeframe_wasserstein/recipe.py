"""The Wasserstein autoencoder with an MMD penalty (arXiv 1711.01558, algorithm 2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Annotated, Any, ClassVar, Final

import torch
from pydantic import Field
from torch import Tensor

from aaeframe.losses.reconstruction import reconstruction_loss
from aaeframe.protocols import Batch, Needs
from aaeframe.recipes import Recipe, descend, detached, gathered

SCALES: Final = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
"""The widths of the kernels, relative to the spread of the prior, as in the authors' code."""


@dataclass(frozen=True)
class Wasserstein(Recipe):
    """Minimize the reconstruction loss and `mmd_weight` MMD²(q(z), p(z)) for each block, in one step a minibatch.

    Losses: "reconstruction", and by block "mmd/<block>".
    """

    _: KW_ONLY
    mmd_weight: Annotated[float, Field(ge=0, description="weight of the discrepancy of codes and prior")] = 10.0

    needs: ClassVar = Needs(labels="none", adversarial=False)
    phases: ClassVar = {"joint": ("autoencoder",)}

    def draw(self, batch: Batch) -> dict[str, Tensor]:
        """As many samples of each prior as the batch has rows."""
        size = torch.Size([len(batch.x)])
        return {name: prior.sample(size).to(batch.x.device) for name, prior in self.model.priors.items()}

    def step(self, batch: Batch, draws: Any = None) -> Mapping[str, Tensor]:
        """Update encoder and decoder."""
        draws = self.draw(batch) if draws is None else draws
        x = self.model.scale(batch.x)
        code = self.model.encoder(self.corruption(x))
        losses = {"reconstruction": reconstruction_loss(self.model.decoder(self.model.representation(code)), x)}
        # MMD compares all rows with each other: among several processes, those of all of them.
        losses |= {f"mmd/{name}": mmd(gathered(code[name]), gathered(samples)) for name, samples in draws.items()}
        reconstruction, *penalties = losses.values()
        descend(reconstruction + self.mmd_weight * torch.stack(penalties).sum(), self.optimizers["autoencoder"])
        return detached(losses)


def mmd(codes: Tensor, samples: Tensor) -> Tensor:
    """MMD² of codes and as many samples (N, ...), unbiased, by a sum of inverse multiquadratic kernels.

    A kernel is k(a, b) = C / (C + ||a - b||²), with C a multiple of the samples' mean squared distance. For a standard
    normal of d dimensions that distance is the paper's 2 d.
    """
    z, p = codes.flatten(1), samples.flatten(1)
    spread = 2 * p.var(0).sum()
    within = _kernel(z, z, spread) + _kernel(p, p, spread)
    n = len(z)
    return (within.sum() - within.trace()) / (n * (n - 1)) - 2 * _kernel(z, p, spread).mean()


def _kernel(a: Tensor, b: Tensor, spread: Tensor) -> Tensor:
    distances = (a.unsqueeze(1) - b).square().sum(2)
    return torch.stack([scale * spread / (scale * spread + distances) for scale in SCALES]).sum(0)
