"""Section 2 of the paper: reconstruct, and make the aggregated posterior the prior."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import torch
from torch import Tensor
from torch.optim import Optimizer

from aaeframe.autoencoder import Autoencoder, draw, draw_labeled
from aaeframe.losses import AdversarialLoss, Segment, gradient_penalty, reconstruction_loss
from aaeframe.protocols import Batch, Code, SupportsLabels
from aaeframe.recipes.buffers import batch_statistics_kept
from aaeframe.recipes.descend import descend, frozen

Losses: TypeAlias = dict[str, Tensor]
"""Detached scalars by name: "reconstruction", "discriminator/<block>", "generator/<block>", "accuracy/<block>", and
with a gradient penalty "penalty/<block>"."""

Draws: TypeAlias = dict[str, list[Segment]]
"""The prior samples of one step by block, as the discriminators are to see them."""


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
    adversarial: AdversarialLoss = field(default_factory=AdversarialLoss)
    penalty: float = 0.0
    """The weight gamma of R1, the squared slope of the discriminators at prior samples."""
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

    def draw(self, batch: Batch) -> Draws:
        """As many samples of each prior as the batch has rows: of the whole prior, and of the classes it tells.

        Apart from `step`, because a CUDA graph cannot hold it: priors may run any code, on the host too.
        """
        return {name: self._prior_segments(name, batch) for name in self.model.discriminators}

    def step(self, batch: Batch, draws: Draws | None = None) -> Losses:
        """One step on one minibatch, against `draws` or new ones; no host synchronization."""
        draws = self.draw(batch) if draws is None else draws
        x, labels = self._rows(batch)
        if self.schedule == "joint":
            return self.joint_phase(x, labels, draws)
        return {**self.reconstruction_phase(x), **self.regularization_phase(x, labels, draws)}

    def reconstruction_phase(self, x: Tensor) -> Losses:
        """Update the encoder and the decoder to reconstruct x from its code."""
        loss = self._reconstruction_loss(self._encode(x), x)
        descend(loss, self.optimizers["reconstruction"])
        return {"reconstruction": loss.detach()}

    def regularization_phase(self, x: Tensor, labels: Tensor | None, draws: Draws) -> Losses:
        """Update the discriminators to tell codes from prior samples, then the encoder to confuse them."""
        with batch_statistics_kept(self.model.encoder):  # the reconstruction phase has counted this batch
            code = self._encode(x)
        losses = self._discriminator_step(code, labels, draws)
        generator = self._generator_losses(code, labels)
        descend(torch.stack([*generator.values()]).sum(), self.optimizers["generator"])
        return {**losses, **_of_generator(generator)}

    def joint_phase(self, x: Tensor, labels: Tensor | None, draws: Draws) -> Losses:
        """Update the discriminators, then encoder and decoder on the weighted sum of their losses."""
        code = self._encode(x)
        losses = self._discriminator_step(code, labels, draws)
        reconstruction = self._reconstruction_loss(code, x)
        generator = self._generator_losses(code, labels)
        weighted = [self.weights.get(name, 1.0) * loss for name, loss in generator.items()]
        descend(
            self.reconstruction_weight * reconstruction + torch.stack(weighted).sum(),
            self.optimizers["autoencoder"],
        )
        return {"reconstruction": reconstruction.detach(), **losses, **_of_generator(generator)}

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

    def _discriminator_step(self, code: Code, labels: Tensor | None, draws: Draws) -> Losses:
        found: Losses = {}
        for name, discriminator in self.model.discriminators.items():
            segments = draws[name] + self._code_segments(name, code[name].detach(), labels)
            result = self.adversarial.discriminator(discriminator, segments, self._noise(name))
            found |= {f"discriminator/{name}": result.loss, f"accuracy/{name}": result.accuracy.mean()}
            if self.penalty:
                found[f"penalty/{name}"] = self.penalty * gradient_penalty(discriminator, segments)
        minimized = [loss for key, loss in found.items() if not key.startswith("accuracy/")]
        descend(torch.stack(minimized).sum(), self.optimizers["discriminator"])
        return {key: loss.detach() for key, loss in found.items()}

    def _generator_losses(self, code: Code, labels: Tensor | None) -> Losses:
        """The loss of each block: codes presented as if they came from the prior."""
        with frozen(self.model.discriminators):
            return {
                name: self.adversarial.generator(
                    discriminator, self._code_segments(name, code[name], labels), self._noise(name)
                ).loss
                for name, discriminator in self.model.discriminators.items()
            }

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

    def _prior_segments(self, name: str, batch: Batch) -> list[Segment]:
        prior, device = self.model.priors[name], batch.x.device
        if batch.labeled is None:
            return [Segment(draw(prior, len(batch.x), device), None, from_prior=True)]
        if not isinstance(prior, SupportsLabels):
            both = len(batch.x) + len(batch.labeled.x)
            return [Segment(draw(prior, both, device), None, from_prior=True)]
        unlabeled = draw(prior, len(batch.x), device)
        extra = torch.full((len(unlabeled),), prior.num_classes, device=device)
        labeled = draw_labeled(prior, len(batch.labeled.x), device)
        return [Segment(unlabeled, extra, from_prior=True), Segment(*labeled, from_prior=True)]


def _of_generator(losses: Losses) -> Losses:
    return {f"generator/{name}": loss.detach() for name, loss in losses.items()}
