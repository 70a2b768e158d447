"""The variational autoencoder (arXiv 1312.6114), for comparison: the same networks, another way to the prior."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from typing import Annotated, ClassVar, Literal, TypeAlias, cast

import torch
from pydantic import Field
from torch import Tensor
from torch.distributions import Distribution, constraints, kl_divergence

from aaeframe.errors import ConfigError
from aaeframe.losses.reconstruction import negative_log_likelihood, reconstruction_loss
from aaeframe.model.priors import has_density, on_device
from aaeframe.protocols import Batch, Needs, SupportsLogProb, SupportsPosterior
from aaeframe.recipes.adversary import StepLosses
from aaeframe.recipes.recipe import Phases, Recipe
from aaeframe.recipes.steps import descend
from aaeframe.supports import described, unwrapped

Likelihood: TypeAlias = Literal["bernoulli", "gaussian"]


@dataclass(frozen=True)
class Variational(Recipe):
    """Maximize the evidence lower bound E_q log p(x|z) - kl_weight KL(q(z|x) || p(z)), in one step a minibatch.

    The divergence is exact where torch knows it, as between Gaussians, else of one sample: log q(z|x) - log p(z). The
    encoder must have a density and every prior a `log_prob`; nothing is adversarial, and priors are not sampled. A
    prior's parameters are trained through its `log_prob`, with the optimizer of phase "prior".

    Losses: "reconstruction" (half the squared error, to compare), "negative_log_likelihood", "divergence/<block>".
    """

    _: KW_ONLY
    likelihood: Annotated[
        Literal["bernoulli", "gaussian"] | None,
        Field(description="of the data given a code; bernoulli for data in [0, 1] if not given, else gaussian"),
    ] = None
    kl_weight: Annotated[float, Field(ge=0, description="weight of the divergence of posterior and prior")] = 1.0

    needs: ClassVar = Needs(labels="none", adversarial=False, trains_priors_by="log_prob")
    phases: ClassVar[Phases] = {"joint": ("autoencoder",)}

    def __post_init__(self) -> None:
        """The encoder and every prior must have a density on real numbers, and the likelihood must fit the data."""
        if not isinstance(self.model.encoder, SupportsPosterior):
            raise ConfigError(
                "the variational autoencoder needs an encoder whose q(z|x) has a density, and "
                f"{type(self.model.encoder).__name__} has none; use --encoder gaussian"
            )
        for name, prior in self.model.priors.items():
            if not has_density(prior):
                raise ConfigError(
                    f"the variational autoencoder needs the density of every prior, and that of block {name!r} "
                    f"({type(prior).__name__}) has no log_prob for its samples. Use gaussian or mixture, or an "
                    "adversarial recipe, which needs only samples"
                )
            if unwrapped(prior.support) is not constraints.real:
                raise ConfigError(
                    f"the variational autoencoder needs priors on real numbers, and block {name!r} "
                    f"({type(prior).__name__}) lives on {described(prior.support)}; use an adversarial recipe"
                )
        if self.likelihood == "bernoulli" and not self._unit_data:
            raise ConfigError("likelihood='bernoulli' is for data in [0, 1]; this data is standardized: 'gaussian'")

    @cached_property
    def priors(self) -> Mapping[str, SupportsLogProb]:
        """The priors of the blocks, on the model's device."""
        moved = {name: on_device(prior, self.model.device) for name, prior in self.model.priors.items()}
        return cast(Mapping[str, SupportsLogProb], moved)

    @property
    def likelihood_of_data(self) -> Likelihood:
        """The distribution of x given its code, in the model's units: of values in [0, 1], or with variance 1."""
        return self.likelihood or ("bernoulli" if self._unit_data else "gaussian")

    @property
    def _unit_data(self) -> bool:
        return self.shared.support is constraints.unit_interval

    def draw(self, batch: Batch) -> dict[str, Tensor]:
        """Nothing: no prior is sampled."""
        return {}

    def step(self, batch: Batch, draws: object = None) -> StepLosses:
        """One step on one minibatch."""
        x = self.model.scale(batch.x)
        encoder = cast(SupportsPosterior, self.model.encoder)
        posteriors = encoder.posterior(self.corruption(x))
        code = {name: q.rsample() for name, q in posteriors.items()}
        x_hat = self.model.decoder(self.model.representation(code))
        losses = {"negative_log_likelihood": negative_log_likelihood(x_hat, x, self.likelihood_of_data)}
        for name, q in posteriors.items():
            losses[f"divergence/{name}"] = divergence(q, self.priors[name], code[name])
        divergences = torch.stack([loss for name, loss in losses.items() if name.startswith("divergence/")]).sum()
        descend(losses["negative_log_likelihood"] + self.kl_weight * divergences, *self.optimizers.values())
        losses["reconstruction"] = reconstruction_loss(x_hat, x)
        return {name: loss.detach() for name, loss in losses.items()}


def divergence(q: Distribution, prior: SupportsLogProb, z: Tensor) -> Tensor:
    """mean KL(q || prior) over rows, in nats; by the samples z (N, *event_shape) of q where torch knows no formula."""
    try:
        return kl_divergence(q, cast(Distribution, prior)).mean()
    except NotImplementedError:
        return (q.log_prob(z) - prior.log_prob(z)).mean()
