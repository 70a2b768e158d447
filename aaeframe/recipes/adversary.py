"""The adversary that imposes the prior, shared by every adversarial recipe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias

import torch
from torch import Tensor
from torch.optim import Optimizer

from aaeframe import processes
from aaeframe.errors import ConfigError
from aaeframe.losses.adversarial import AdversarialLoss, Segment, gradient_penalty
from aaeframe.model.autoencoder import Autoencoder
from aaeframe.model.priors import is_trained
from aaeframe.protocols import Batch, Code, SupportsFollowing, SupportsLabels, SupportsLoss
from aaeframe.recipes.prior_samples import PriorSamples
from aaeframe.recipes.steps import descend, frozen
from aaeframe.supports import described, is_one_hot

StepLosses: TypeAlias = dict[str, Tensor]
"""Detached scalars by name: "reconstruction", "discriminator/<block>", "generator/<block>", "accuracy/<block>", and
with a gradient penalty "penalty/<block>", of a trained prior "prior/<block>"; a recipe says what else it gives."""

Draws: TypeAlias = dict[str, list[Segment]]
"""The prior samples of one step by block, as the discriminators are to see them."""


@dataclass(frozen=True)
class Adversary:
    """One discriminator against each block of the code (paper, section 2).

    With labels (section 2.3), the discriminators of blocks whose prior knows classes also get a class: that of labeled
    codes and of labeled prior samples. The rest get an extra class.
    """

    model: Autoencoder
    loss: AdversarialLoss = field(default_factory=AdversarialLoss)
    penalty: float = 0.0
    """The weight gamma of R1, the squared slope of the discriminators at prior samples."""
    instance_noise: Mapping[str, float] = field(default_factory=dict)
    """Standard deviation of Gaussian noise on a block's discriminator input."""
    softening: Mapping[str, float] = field(default_factory=dict)
    """For a block of one-hot vectors: the share of a point drawn uniformly from the simplex in each prior sample."""
    weights: Mapping[str, float | Tensor] = field(default_factory=dict)
    """The weight of each block's generator loss, where losses are weighed; 1 if not given."""
    prior_optimizer: Optimizer | None = None
    """The optimizer of the priors that have a `loss`; None if nothing of a prior is trained."""
    seed: int | None = None
    """The seed of the prior samples; None draws them from torch's global generator."""

    def __post_init__(self) -> None:
        """Only one-hot vectors can be softened."""
        for name, share in self.softening.items():
            prior = self.model.priors[name]
            if share and not is_one_hot(prior.support):
                raise ConfigError(
                    f"prior.{name}.softening is for blocks of one-hot vectors, and {name!r} "
                    f"({type(prior).__name__}) lives on {described(prior.support)}; leave it out, or take "
                    "instance_noise"
                )

    def draw(self, batch: Batch) -> Draws:
        """Draw a sample of each prior for every row of the batch; for labeled rows, samples with classes.

        This is not part of the step, because a CUDA graph cannot hold it: priors may run any code, on the host too.
        """
        return {name: self._samples(name, batch) for name in self.model.discriminators}

    @cached_property
    def _samples(self) -> PriorSamples:
        return PriorSamples(self.model, self.softening, self.seed)

    def regularize(
        self, code: Code, labels: Tensor | None, draws: Draws, optimizers: Mapping[str, Optimizer]
    ) -> StepLosses:
        """Update the discriminators as by `step`, then the encoder, as their generator, on the same codes."""
        losses = self.step(code, labels, draws, optimizers["discriminator"])
        generator = self.generator_losses(code, labels)
        descend(torch.stack([*generator.values()]).sum(), optimizers["generator"])
        return {**losses, **detached(generator)}

    def step(self, code: Code, labels: Tensor | None, draws: Draws, optimizer: Optimizer) -> StepLosses:
        """Update the discriminators to tell the detached codes from prior samples, and the priors that are not fixed.

        `labels`, if given, are those of the last rows of the code; the rows before them are unlabeled.
        """
        found: StepLosses = {}
        for name, discriminator in self.model.discriminators.items():
            prior, z = self.model.priors[name], code[name].detach()
            if isinstance(prior, SupportsFollowing):
                whole = processes.gathered(z)
                with processes.unsynchronized(prior):
                    prior.follow(whole)
            segments = draws[name] + self._code_segments(name, z, labels)
            result = self.loss.discriminator(discriminator, segments, self._noise(name))
            found |= {f"discriminator/{name}": result.loss, f"accuracy/{name}": result.accuracy.mean()}
            if self.penalty:
                found[f"penalty/{name}"] = self.penalty * gradient_penalty(discriminator, segments)
        minimized = [loss for key, loss in found.items() if not key.startswith("accuracy/")]
        descend(torch.stack(minimized).sum(), optimizer)
        return {**detached(found), **self._train_priors(code)}

    def _train_priors(self, code: Code) -> StepLosses:
        """Update the priors that have a loss, on the detached codes of the whole minibatch."""
        if self.prior_optimizer is None:
            return {}
        with frozen(self.model.encoder):
            losses = {
                f"prior/{name}": _loss_of_all(prior, code[name])
                for name, prior in self.model.priors.items()
                if isinstance(prior, SupportsLoss) and is_trained(prior)
            }
        descend(torch.stack([*losses.values()]).sum(), self.prior_optimizer)
        return detached(losses)

    def generator_losses(self, code: Code, labels: Tensor | None = None) -> StepLosses:
        """The generator losses, "generator/<block>", with gradient: codes presented as samples of the prior."""
        with frozen(self.model.discriminators):
            return {
                f"generator/{name}": self.loss.generator(
                    discriminator, self._code_segments(name, code[name], labels), self._noise(name)
                ).loss
                for name, discriminator in self.model.discriminators.items()
            }

    def weighted(self, generator_losses: StepLosses) -> Tensor:
        """The weighted sum of the generator losses over blocks."""
        weights = [self.weights.get(key.removeprefix("generator/"), 1.0) for key in generator_losses]
        return torch.stack([w * loss for w, loss in zip(weights, generator_losses.values(), strict=True)]).sum()

    def _noise(self, name: str) -> float:
        return self.instance_noise.get(name, 0.0)

    def _code_segments(self, name: str, z: Tensor, labels: Tensor | None) -> list[Segment]:
        """The codes of one block: unlabeled rows, and the labeled rows with their classes."""
        prior = self.model.priors[name]
        if labels is None or not isinstance(prior, SupportsLabels):
            return [Segment(z, None, from_prior=False)]
        unlabeled, labeled = z[: -len(labels)], z[-len(labels) :]
        extra = labels.new_full((len(unlabeled),), prior.num_classes)
        return [Segment(unlabeled, extra, from_prior=False), Segment(labeled, labels, from_prior=False)]


def _loss_of_all(prior: SupportsLoss, code: Tensor) -> Tensor:
    """The loss of a prior on the codes of the whole minibatch."""
    whole = processes.gathered(code.detach())
    with processes.unsynchronized(prior):
        return prior.loss(whole)


def detached(losses: StepLosses) -> StepLosses:
    """The losses as a step returns them."""
    return {key: loss.detach() for key, loss in losses.items()}
