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

BYTES: Final = 2**27
"""Bytes of a block's product with such a chunk, about; the epilogue takes as many again."""


def row_blocks(x: Tensor, size: int = ROWS) -> Sequence[Tensor]:
    """x (N, ...) in blocks of `size` rows at most, as equal as can be."""
    return x.chunk(-(-len(x) // size))


def rows_per_block(x: Tensor, dtype: torch.dtype) -> int:
    """How many rows make a block of x (N, D) if products have this dtype; fewer on a GPU, where chunks are large."""
    if x.device.type == "cpu":
        return ROWS
    return max(1, min(ROWS, BYTES // (samples_per_chunk(x) * dtype.itemsize)))


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
