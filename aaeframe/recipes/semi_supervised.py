"""Section 5 of the paper: a class, learned from few labels, and a style."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from aaeframe.errors import ConfigError
from aaeframe.losses.label_free import LabelFree
from aaeframe.losses.reconstruction import classification_loss, reconstruction_loss
from aaeframe.protocols import Batch, Code, Needs
from aaeframe.recipes.adversary import Draws, StepLosses, detached
from aaeframe.recipes.recipe import CLASSIFYING, Recipe
from aaeframe.recipes.steps import batch_statistics_kept, descend


@dataclass(frozen=True)
class SemiSupervised(Recipe):
    """q(y|x) and q(z|x) share a body; y is made categorical and z the prior of style, one adversary for each.

    Schedule "alternating" (the paper's): the reconstruction phase decodes the soft y next to z. The regularization
    phase updates the discriminators, then the encoder. The classification phase updates the encoder on the
    cross-entropy of a labeled minibatch. Without labels it is left out, which is the clustering of section 6.
    Schedule "joint": one encoding of both minibatches, the discriminator step, then one step on the weighted sum.

    `label_free` terms, which the paper has none of, come last: as the phase "consistency", or within the sum. The
    labeled rows are a subset of those the unlabeled minibatches come from.

    Losses besides those of the phases: "classification", and of the label-free terms each by its name.
    """

    needs: ClassVar = Needs(labels="required", class_block=True)
    phases: ClassVar = CLASSIFYING

    def __post_init__(self) -> None:
        """Only images can be warped; slack that allows a single class would be no bound."""
        if self.label_free.augmentation and len(self.model.data_shape) != 3:
            raise ConfigError(
                f"label_free.augmentation warps images (channels, height, width); this data has rows of shape "
                f"{tuple(self.model.data_shape)}; leave it out"
            )
        classes = self.model.priors[self.class_block].event_shape[-1]
        if self.label_free.slack >= math.log(classes) > 0:
            raise ConfigError(
                f"label_free.slack={self.label_free.slack:g} would allow that all rows are of one class; with "
                f"{classes} classes it must be less than log {classes} = {math.log(classes):.3g}"
            )

    @property
    def label_free(self) -> LabelFree:
        """The terms that need no labels."""
        return self.shared.label_free

    def draw(self, batch: Batch) -> Draws:
        """The prior samples of a step, for the unlabeled rows alone."""
        return self.adversary.draw(replace(batch, labeled=None))

    def step(self, batch: Batch, draws: Draws | None = None) -> StepLosses:
        """One step on an unlabeled minibatch and the labeled one with it, if any; no host synchronization."""
        draws = self.draw(batch) if draws is None else draws
        x = self.model.scale(batch.x)
        labeled = None if batch.labeled is None else self._labeled(batch.labeled)
        if self.schedule == "joint":
            return self.joint_phase(x, labeled, draws)
        losses = {**self.reconstruction_phase(x), **self.regularization_phase(x, draws)}
        if labeled is not None:
            losses |= self.classification_phase(*labeled)
        return {**losses, **self.consistency_phase(x)} if self.label_free.used else losses

    def reconstruction_phase(self, x: Tensor) -> StepLosses:
        """Update encoder and decoder to reconstruct x from the soft y and z."""
        loss = self._reconstruction_loss(self._encode(x), x)
        descend(loss, self.optimizers["reconstruction"])
        return {"reconstruction": loss.detach()}

    def regularization_phase(self, x: Tensor, draws: Draws) -> StepLosses:
        """Update the discriminators of y and z, then the encoder to confuse both."""
        with batch_statistics_kept(self.model.encoder):  # the reconstruction phase has counted this batch
            code = self._encode(x)
        return self.adversary.regularize(code, None, draws, self.optimizers)

    def classification_phase(self, x: Tensor, labels: Tensor) -> StepLosses:
        """Update the encoder, q(y|x) alone, on the labels of x."""
        with batch_statistics_kept(self.model.encoder):
            loss = classification_loss(self._encode(x)[self.class_block], labels)
        descend(loss, self.optimizers["classification"])
        return {"classification": loss.detach()}

    def consistency_phase(self, x: Tensor) -> StepLosses:
        """Update the encoder on the label-free terms."""
        terms = self._terms(x, None)
        descend(torch.stack([*terms.values()]).sum(), self.optimizers["consistency"])
        return detached(terms)

    def joint_phase(self, x: Tensor, labeled: tuple[Tensor, Tensor] | None, draws: Draws) -> StepLosses:
        """Update the discriminators, then encoder and decoder on the weighted sum of all losses."""
        rows, labels = (x, None) if labeled is None else (torch.cat([x, labeled[0]]), labeled[1])
        encoded = self._encode(rows)
        code = {name: z[: len(x)] for name, z in encoded.items()}
        found = self.adversary.step(code, None, draws, self.optimizers["discriminator"])
        reconstruction = self._reconstruction_loss(code, x)
        generator = self.adversary.generator_losses(code)
        loss = self.reconstruction_weight * reconstruction + self.adversary.weighted(generator)
        losses = {"reconstruction": reconstruction, **found, **generator}
        if labels is not None:
            losses["classification"] = classification_loss(encoded[self.class_block][len(x) :], labels)
            loss = loss + self.shared.classification_weight * losses["classification"]
        if self.label_free.used:
            # Batch norm made y a function of the labeled rows too, if there are some.
            terms = self._terms(x, code[self.class_block] if labels is None else None)
            losses |= terms
            loss = loss + torch.stack([*terms.values()]).sum()
        descend(loss, self.optimizers["autoencoder"])
        return detached(losses)

    def _labeled(self, batch: Batch) -> tuple[Tensor, Tensor]:
        assert batch.labels is not None
        return self.model.scale(batch.x), batch.labels

    def _encode(self, x: Tensor) -> Code:
        return self.model.encoder(self.corruption(x))

    def _terms(self, x: Tensor, y: Tensor | None) -> StepLosses:
        """The label-free terms on clean rows. `y` can be given to use it again instead of predicting at x."""
        shape = self.model.noise_shape
        noise = torch.randn(len(x), *shape, device=x.device) if shape else None

        def predict(rows: Tensor) -> Tensor:
            return self.model.encoder(rows, noise)[self.class_block]

        with batch_statistics_kept(self.model.encoder):
            if y is None or self.corruption.used or shape:  # then it is another function's, with other noise
                y = predict(x)
            return self.label_free.losses(predict, x, y)

    def _reconstruction_loss(self, code: Code, x: Tensor) -> Tensor:
        return reconstruction_loss(self.model.decoder(self.model.representation(code)), x)
