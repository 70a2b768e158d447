"""The framework's kernels: a leaf that imports torch and triton and nothing of ours."""

from __future__ import annotations

from aaeframe_kernels.discriminator_loss import DiscriminatorLoss, discriminator_loss

__all__ = ["DiscriminatorLoss", "discriminator_loss"]
