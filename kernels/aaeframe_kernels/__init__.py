"""The framework's kernels. They import torch and triton, and nothing else of the framework."""

from __future__ import annotations

from aaeframe_kernels.discriminator_loss import DiscriminatorLoss, discriminator_loss
from aaeframe_kernels.dispatch import KernelUnavailable
from aaeframe_kernels.parzen import ParzenState, parzen_log_likelihood
from aaeframe_kernels.parzen.bandwidth import (
    BandwidthChoice,
    choose_bandwidth,
    default_bandwidths,
    search_bandwidth,
    select_bandwidth,
)

__all__ = [
    "BandwidthChoice",
    "DiscriminatorLoss",
    "KernelUnavailable",
    "ParzenState",
    "choose_bandwidth",
    "default_bandwidths",
    "discriminator_loss",
    "parzen_log_likelihood",
    "search_bandwidth",
    "select_bandwidth",
]
