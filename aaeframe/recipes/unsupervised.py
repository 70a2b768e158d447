"""Section 2 of the paper: reconstruct, and make the aggregated posterior the prior."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import torch
from torch import Tensor
from torch.optim import Optimizer

from aaeframe.autoencoder import Autoencoder, draw
from aaeframe.losses import Segment, adversarial_loss, reconstruction_loss
from aaeframe.protocols import Batch, Code, SupportsLabels
from aaeframe.recipes.buffers import batch_statistics_kept
from aaeframe.recipes.descend import descend, frozen
from aaeframe_kernels import DiscriminatorLoss

Losses: TypeAlias = dict[str, Tensor]
"""Detached scalars by name: "reconstruction", "discriminator/<block>", "generator/<block>", "accuracy/<block>"."""


@dataclass(frozen=True)
class Unsupervised:
    """Adversarial autoencoding of any product of priors.

    Schedule "alternating" (the paper's): the reconstruction phase updates encoder and decoder; then x is encoded
    once, the discriminators step on the detached codes and the encoder, as their generator, on the same codes.
    Schedule "joint": one encoding, the discriminator step, then one step on the weighted sum of the reconstruction
    and generator losses.

    With labels (section 2.3), the discriminators of blocks whose prior knows classes are told the class of labeled
    codes and of labeled prior samples, and an extra class for the rest.
    """

    model: Autoencoder
    optimizers: Mapping[str, Optimizer]
    schedule: str = "alternating"
    input_noise: float = 0.0
    """Standard deviation of Gaussian noise on the encoder's input, in the model's units; the target stays clean."""
    instance_noise: Mapping[str, float] = field(default_factory=dict)
    """Standard deviation of Gaussian noise on a block's discriminator input."""
    weights: Mapping[str, float] = field(default_factory=dict)
    """Schedule "joint" only: the weight of each block's generator loss."""
    reconstruction_weight: float = 1.0
    """Schedule "joint" only."""

    @staticmethod
    def parameters(model: Autoencoder) -> dict[str, list[torch.nn.Parameter]]:
        """What each optimizer moves; parameters that encoder and decoder share count once."""
        encoder = list(model.encoder.parameters())
        both = list(dict.fromkeys([*encoder, *model.decoder.parameters(), *model.representation.parameters()]))
        return {
            "reconstruction": both,
            "autoencoder": both,
            "generator": encoder,
            "discriminator": list(model.discriminators.parameters()),
        }

    def step(self, batch: Batch) -> Losses:
        """One step on one minibatch; no host synchronization."""
        x, labels = self._rows(batch)
        if self.schedule == "joint":
            return self.joint_phase(x, labels)
        return {**self.reconstruction_phase(x), **self.regularization_phase(x, labels)}

    def reconstruction_phase(self, x: Tensor) -> Losses:
        """Update the encoder and the decoder to reconstruct x from its code."""
        loss = self._reconstruction_loss(self._encode(x), x)
        descend(loss, self.optimizers["reconstruction"])
        return {"reconstruction": loss.detach()}

    def regularization_phase(self, x: Tensor, labels: Tensor | None) -> Losses:
        """Update the discriminators to tell codes from prior samples, then the encoder to confuse them."""
        with batch_statistics_kept(self.model.encoder):  # the reconstruction phase has counted this batch
            code = self._encode(x)
        losses = self._discriminator_step(code, labels)
        generator = self._generator_losses(code, labels)
        descend(torch.stack([*generator.values()]).sum(), self.optimizers["generator"])
        return {**losses, **_named("generator", generator)}

    def joint_phase(self, x: Tensor, labels: Tensor | None) -> Losses:
        """Update the discriminators, then encoder and decoder on the weighted sum of their losses."""
        code = self._encode(x)
        losses = self._discriminator_step(code, labels)
        reconstruction = self._reconstruction_loss(code, x)
        generator = self._generator_losses(code, labels)
        weighted = [self.weights.get(name, 1.0) * loss for name, loss in generator.items()]
        descend(
            self.reconstruction_weight * reconstruction + torch.stack(weighted).sum(),
            self.optimizers["autoencoder"],
        )
        return {"reconstruction": reconstruction.detach(), **losses, **_named("generator", generator)}

    def _rows(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """All rows of the batch, scaled, unlabeled ones first; and the labels of the labeled ones after them."""
        if batch.labeled is None:
            return self.model.scale(batch.x), None
        return self.model.scale(torch.cat([batch.x, batch.labeled.x])), batch.labeled.labels

    def _encode(self, x: Tensor) -> Code:
        if self.input_noise:
            x = x + self.input_noise * torch.randn_like(x)
        return self.model.encoder(x)

    def _reconstruction_loss(self, code: Code, x: Tensor) -> Tensor:
        return reconstruction_loss(self.model.decoder(self.model.representation(code)), x)

    def _discriminator_step(self, code: Code, labels: Tensor | None) -> Losses:
        losses, accuracies = {}, {}
        for name in self.model.discriminators:
            z = code[name].detach()
            result = self._adversary(name, self._prior_segments(name, z, labels) + self._code_segments(name, z, labels))
            losses[name], accuracies[name] = result.loss, result.accuracy
        descend(torch.stack([*losses.values()]).sum(), self.optimizers["discriminator"])
        return {**_named("discriminator", losses), **_named("accuracy", accuracies)}

    def _generator_losses(self, code: Code, labels: Tensor | None) -> Losses:
        """The non-saturating loss of each block: codes presented as if they came from the prior."""
        with frozen(self.model.discriminators):
            return {
                name: self._adversary(
                    name, [s._replace(from_prior=True) for s in self._code_segments(name, code[name], labels)]
                ).loss
                for name in self.model.discriminators
            }

    def _adversary(self, name: str, segments: list[Segment]) -> DiscriminatorLoss:
        return adversarial_loss(self.model.discriminators[name], segments, noise=self.instance_noise.get(name, 0.0))

    def _code_segments(self, name: str, z: Tensor, labels: Tensor | None) -> list[Segment]:
        """The codes of one block: unlabeled rows, and the labeled rows with their classes."""
        prior = self.model.priors[name]
        if labels is None or not isinstance(prior, SupportsLabels):
            return [Segment(z, None, from_prior=False)]
        unlabeled, labeled = z[: -len(labels)], z[-len(labels) :]
        extra = labels.new_full((len(unlabeled),), prior.num_classes)
        return [Segment(unlabeled, extra, from_prior=False), Segment(labeled, labels, from_prior=False)]

    def _prior_segments(self, name: str, z: Tensor, labels: Tensor | None) -> list[Segment]:
        """As many samples of the prior: of the whole of it, and of its classes."""
        prior = self.model.priors[name]
        if labels is None or not isinstance(prior, SupportsLabels):
            return [Segment(draw(prior, len(z), z.device), None, from_prior=True)]
        unlabeled = draw(prior, len(z) - len(labels), z.device)
        extra = labels.new_full((len(unlabeled),), prior.num_classes)
        value, classes = prior.sample_labeled(labels.shape)
        labeled = Segment(value.detach().to(z.device, torch.float32), classes.to(z.device), from_prior=True)
        return [Segment(unlabeled, extra, from_prior=True), labeled]


def _named(prefix: str, losses: Losses) -> Losses:
    return {f"{prefix}/{name}": loss.detach() for name, loss in losses.items()}
