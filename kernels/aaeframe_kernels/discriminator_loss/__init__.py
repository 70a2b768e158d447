"""The discriminator's loss together with its last linear layer."""

from __future__ import annotations

from aaeframe_kernels.discriminator_loss.reference import DiscriminatorLoss, discriminator_loss

__all__ = ["DiscriminatorLoss", "discriminator_loss"]
