"""Many rows of x are taken in blocks, so that a product with a chunk of samples stays in the processor's cache."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from aaeframe_kernels.parzen.engine import Partial

ROWS: Final = 2048
"""Rows of x in a block at most."""

NUMBERS: Final = 2**21
"""Numbers in a block's product with a chunk, about: 8 MiB of float32."""

SAMPLES: Final = 8192
"""Samples in a chunk at most."""

VALUES: Final = 2**22
"""Values in a chunk of samples at most, whatever their width: 32 MiB of float64."""

ON_GPU: Final = (2**16, 2**26)
"""Samples and values in a chunk at most on a GPU, where a chunk is a few launches and wants to be large."""


def row_blocks(x: Tensor) -> Sequence[Tensor]:
    """x (N, D) in blocks of rows as equal as can be."""
    return x.chunk(-(-len(x) // ROWS))


def samples_per_chunk(x: Tensor) -> int:
    """How many samples make a chunk for x (N, D)."""
    count, features = x.shape
    if x.device.type != "cpu":
        samples, values = ON_GPU
        return max(1, min(samples, values // features))
    return max(1, min(NUMBERS // min(count, ROWS), SAMPLES, VALUES // features))


def concatenate(partials: Sequence[Partial]) -> Partial:
    """The partial state of all rows from those of the blocks."""
    if len(partials) == 1:
        return partials[0]
    return Partial(torch.cat([p.nearest for p in partials]), torch.cat([p.sums for p in partials]))
