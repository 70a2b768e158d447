"""The discriminator's loss together with its last linear layer."""

from __future__ import annotations

from aaeframe_kernels.discriminator_loss.op import discriminator_loss
from aaeframe_kernels.discriminator_loss.reference import DiscriminatorLoss, LossKind

__all__ = ["DiscriminatorLoss", "LossKind", "discriminator_loss"]
