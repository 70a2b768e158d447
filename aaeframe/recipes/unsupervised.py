"""Section 2 of the paper: reconstruct, and make the aggregated posterior the prior."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Annotated, ClassVar, cast

import torch
from pydantic import Field
from torch import Tensor
from torch.distributions import constraints

from aaeframe.errors import ConfigError
from aaeframe.losses.reconstruction import reconstruction_loss
from aaeframe.protocols import Batch, Code, Needs, SupportsPosterior
from aaeframe.recipes.adversary import Draws, StepLosses, detached
from aaeframe.recipes.recipe import Recipe
from aaeframe.recipes.steps import batch_statistics_kept, descend
from aaeframe.supports import unwrapped


@dataclass(frozen=True)
class Unsupervised(Recipe):
    """Adversarial autoencoding of any product of priors.

    Schedule "alternating" (the paper's): the reconstruction phase updates encoder and decoder. Then x is encoded once.
    The discriminators step on the detached codes, and the encoder, as their generator, on the same codes.
    Schedule "joint": one encoding, the discriminator step, then one step on the weighted sum of the reconstruction
    and generator losses.

    With labels (section 2.3), discriminators are told classes: see `Adversary`.

    With an `entropy_weight` it is a hybrid with the variational autoencoder (arXiv 1706.04987). That model's bound has
    the divergence E KL(q(z|x) || p(z)) = H(q(z)) - E H(q(z|x)) + KL(q(z) || p(z)). The adversary reduces the last term;
    the weight multiplies the second. Loss "posterior_entropy": - E H(q(z|x)), weighted.
    """

    _: KW_ONLY
    entropy_weight: Annotated[
        float, Field(ge=0, description="weight of the entropy of q(z|x) in nats, which is raised; 0: none")
    ] = 0.0

    needs: ClassVar = Needs(labels="told")

    def __post_init__(self) -> None:
        """Entropy can be raised of an encoder that has a density, on blocks of real numbers."""
        priors = self.model.priors.values()
        real = all(unwrapped(prior.support) is constraints.real for prior in priors)
        if self.entropy_weight and not (real and isinstance(self.model.encoder, SupportsPosterior)):
            raise ConfigError(
                "entropy_weight needs an encoder whose q(z|x) has a density, on blocks of real numbers, found "
                f"{type(self.model.encoder).__name__} and {', '.join(type(prior).__name__ for prior in priors)}. Use "
                "--encoder gaussian and priors such as gaussian, mixture or swissroll"
            )

    def step(self, batch: Batch, draws: Draws | None = None) -> StepLosses:
        """One step on one minibatch, against `draws` or new ones; no host synchronization."""
        draws = self.draw(batch) if draws is None else draws
        x, labels = self._rows(batch)
        if self.schedule == "joint":
            return self.joint_phase(x, labels, draws)
        return {**self.reconstruction_phase(x), **self.regularization_phase(x, labels, draws)}

    def reconstruction_phase(self, x: Tensor) -> StepLosses:
        """Update the encoder and the decoder to reconstruct x from its code."""
        code, cost = self._drawn(x)
        loss = self._reconstruction_loss(code, x)
        descend(_plus(loss, cost), self.optimizers["reconstruction"])
        return {"reconstruction": loss.detach(), **detached(cost)}

    def regularization_phase(self, x: Tensor, labels: Tensor | None, draws: Draws) -> StepLosses:
        """Update the discriminators to tell codes from prior samples, then the encoder to confuse them."""
        with batch_statistics_kept(self.model.encoder):  # the reconstruction phase has counted this batch
            code = self._encode(x)
        return self.adversary.regularize(code, labels, draws, self.optimizers)

    def joint_phase(self, x: Tensor, labels: Tensor | None, draws: Draws) -> StepLosses:
        """Update the discriminators, then encoder and decoder on the weighted sum of their losses."""
        code, cost = self._drawn(x)
        losses = self.adversary.step(code, labels, draws, self.optimizers["discriminator"])
        reconstruction = self._reconstruction_loss(code, x)
        generator = self.adversary.generator_losses(code, labels)
        loss = self.reconstruction_weight * reconstruction + self.adversary.weighted(generator)
        descend(_plus(loss, cost), self.optimizers["autoencoder"])
        return {"reconstruction": reconstruction.detach(), **losses, **detached({**generator, **cost})}

    def _rows(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """All rows of the batch, scaled, unlabeled ones first; and the labels of the labeled ones after them."""
        if batch.labeled is None:
            return self.model.scale(batch.x), None
        return self.model.scale(torch.cat([batch.x, batch.labeled.x])), batch.labeled.labels

    def _encode(self, x: Tensor) -> Code:
        return self.model.encoder(self.corruption(x))

    def _drawn(self, x: Tensor) -> tuple[Code, StepLosses]:
        """The code of x, one draw of q(z|x), and with an entropy weight the weighted negative entropy."""
        if not self.entropy_weight:
            return self._encode(x), {}
        posteriors = cast(SupportsPosterior, self.model.encoder).posterior(self.corruption(x))
        entropy = torch.stack([q.entropy().mean() for q in posteriors.values()]).sum()
        return {name: q.rsample() for name, q in posteriors.items()}, {
            "posterior_entropy": -self.entropy_weight * entropy
        }

    def _reconstruction_loss(self, code: Code, x: Tensor) -> Tensor:
        return reconstruction_loss(self.model.decoder(self.model.representation(code)), x)


def _plus(loss: Tensor, costs: StepLosses) -> Tensor:
    for cost in costs.values():
        loss = loss + cost
    return loss
