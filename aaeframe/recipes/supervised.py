"""Section 4 of the paper: the label goes to the decoder, so that the code keeps the style."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from aaeframe.losses.reconstruction import reconstruction_loss
from aaeframe.model.representation import WithLabel
from aaeframe.protocols import Batch, BlockSpec, Code, Needs
from aaeframe.recipes.adversary import Draws, StepLosses, detached
from aaeframe.recipes.recipe import Recipe
from aaeframe.recipes.steps import batch_statistics_kept, descend


@dataclass(frozen=True)
class Supervised(Recipe):
    """Decode the one-hot label beside the code; the code, held to the prior, has no need to tell classes.

    The prior is the same for every class, and the adversary enforces q(z) = p(z). The decoder knows the class, so the
    class is driven out of z. Schedules as in `Unsupervised`.
    """

    needs: ClassVar = Needs(labels="every")

    @staticmethod
    def representation(blocks: Mapping[str, BlockSpec], class_block: str | None, num_classes: int | None) -> WithLabel:
        """The code and the one-hot label."""
        assert num_classes is not None
        return WithLabel(blocks, num_classes)

    def step(self, batch: Batch, draws: Draws | None = None) -> StepLosses:
        """One step on a minibatch whose rows are all labeled; no host synchronization."""
        draws = self.draw(batch) if draws is None else draws
        assert batch.labels is not None
        x, labels = self.model.scale(batch.x), batch.labels
        if self.schedule == "joint":
            return self.joint_phase(x, labels, draws)
        return {**self.reconstruction_phase(x, labels), **self.regularization_phase(x, draws)}

    def reconstruction_phase(self, x: Tensor, labels: Tensor) -> StepLosses:
        """Update encoder and decoder to reconstruct x from its code and its label."""
        loss = self._reconstruction_loss(self._encode(x), x, labels)
        descend(loss, self.optimizers["reconstruction"])
        return {"reconstruction": loss.detach()}

    def regularization_phase(self, x: Tensor, draws: Draws) -> StepLosses:
        """Update the discriminators to tell codes from prior samples, then the encoder to confuse them."""
        with batch_statistics_kept(self.model.encoder):  # the reconstruction phase has counted this batch
            code = self._encode(x)
        return self.adversary.regularize(code, None, draws, self.optimizers)

    def joint_phase(self, x: Tensor, labels: Tensor, draws: Draws) -> StepLosses:
        """Update the discriminators, then encoder and decoder on the weighted sum of their losses."""
        code = self._encode(x)
        losses = self.adversary.step(code, None, draws, self.optimizers["discriminator"])
        reconstruction = self._reconstruction_loss(code, x, labels)
        generator = self.adversary.generator_losses(code)
        descend(
            self.reconstruction_weight * reconstruction + self.adversary.weighted(generator),
            self.optimizers["autoencoder"],
        )
        return {"reconstruction": reconstruction.detach(), **losses, **detached(generator)}

    def _encode(self, x: Tensor) -> Code:
        return self.model.encoder(self.corruption(x))

    def _reconstruction_loss(self, code: Code, x: Tensor, labels: Tensor) -> Tensor:
        return reconstruction_loss(self.model.decoder(self.model.representation(code, labels)), x)
