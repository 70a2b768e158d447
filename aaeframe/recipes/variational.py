"""The variational autoencoder (arXiv 1312.6114), for comparison: the same networks, another way to the prior."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, cast

import torch
from torch import Tensor
from torch.distributions import Distribution, kl_divergence
from torch.optim import Optimizer

from aaeframe.losses.reconstruction import negative_log_likelihood, reconstruction_loss
from aaeframe.model.autoencoder import Autoencoder
from aaeframe.protocols import Batch, SupportsLogProb, SupportsPosterior
from aaeframe.recipes.corruption import Corruption
from aaeframe.recipes.steps import descend, of_phases

Losses: TypeAlias = dict[str, Tensor]
Likelihood: TypeAlias = Literal["bernoulli", "gaussian"]


@dataclass(frozen=True)
class Variational:
    """Maximize the evidence lower bound E_q log p(x|z) - kl_weight KL(q(z|x) || p(z)), in one step a minibatch.

    The divergence is exact where torch knows it, as between Gaussians, else of one sample: log q(z|x) - log p(z). The
    encoder must have a density and every prior a `log_prob`; nothing is adversarial, and priors are not sampled.

    Losses: "reconstruction" (half the squared error, to compare), "negative_log_likelihood", "divergence/<block>".
    """

    model: Autoencoder
    optimizers: Mapping[str, Optimizer]
    priors: Mapping[str, SupportsLogProb]
    """The priors of the blocks, on the model's device."""
    likelihood: Likelihood
    """Of x given its code, in the model's units: for values in [0, 1], or with variance 1."""
    kl_weight: float = 1.0
    corruption: Corruption = field(default_factory=Corruption)

    parameters = staticmethod(of_phases)

    def draw(self, batch: Batch) -> dict[str, Tensor]:
        """Nothing: no prior is sampled."""
        return {}

    def step(self, batch: Batch, draws: object = None) -> Losses:
        """One step on one minibatch."""
        x = self.model.scale(batch.x)
        encoder = cast(SupportsPosterior, self.model.encoder)
        posteriors = encoder.posterior(self.corruption(x))
        code = {name: q.rsample() for name, q in posteriors.items()}
        x_hat = self.model.decoder(self.model.representation(code))
        losses = {"negative_log_likelihood": negative_log_likelihood(x_hat, x, self.likelihood)}
        for name, q in posteriors.items():
            losses[f"divergence/{name}"] = divergence(q, self.priors[name], code[name])
        divergences = torch.stack([loss for name, loss in losses.items() if name.startswith("divergence/")]).sum()
        descend(losses["negative_log_likelihood"] + self.kl_weight * divergences, self.optimizers["autoencoder"])
        losses["reconstruction"] = reconstruction_loss(x_hat, x)
        return {name: loss.detach() for name, loss in losses.items()}


def divergence(q: Distribution, prior: SupportsLogProb, z: Tensor) -> Tensor:
    """mean KL(q || prior) over rows, in nats; by the samples z (N, *event_shape) of q where torch knows no formula."""
    try:
        return kl_divergence(q, cast(Distribution, prior)).mean()
    except NotImplementedError:
        return (q.log_prob(z) - prior.log_prob(z)).mean()
