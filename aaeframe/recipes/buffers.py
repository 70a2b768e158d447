"""Which forward passes move batch-norm statistics: one a step, though a phase may look at the batch again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


@contextmanager
def batch_statistics_kept(module: nn.Module) -> Iterator[None]:
    """Inside, batch norm in training mode normalizes by the batch as ever, but its running statistics stand still."""
    tracking = [it for it in module.modules() if isinstance(it, _BatchNorm) and it.training and it.track_running_stats]
    for it in tracking:
        it.track_running_stats = False
    try:
        yield
    finally:
        for it in tracking:
            it.track_running_stats = True
