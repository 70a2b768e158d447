"""Split rows of x into blocks, so that a product with a chunk of samples stays in the processor's cache."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from aaeframe_kernels.parzen.engine import Partial

ROWS: Final = 2048
"""The largest number of rows of x in a block."""

NUMBERS: Final = 2**21
"""The approximate size of a block's product with a chunk: 8 MiB of float32."""

SAMPLES: Final = 8192
"""The largest number of samples in a chunk."""

VALUES: Final = 2**22
"""The largest number of values in a chunk of samples, whatever their width: 32 MiB of float64."""

ON_GPU: Final = (2**16, 2**26)
"""The largest numbers of samples and values in a chunk on a GPU, where large chunks need fewer launches."""

BYTES: Final = 2**27
"""The approximate size of a block's product with such a chunk in bytes; the epilogue needs as much again."""


def row_blocks(x: Tensor, size: int = ROWS) -> Sequence[Tensor]:
    """Split x (N, ...) into nearly equal blocks of at most `size` rows."""
    return x.chunk(-(-len(x) // size))


def rows_per_block(x: Tensor, dtype: torch.dtype) -> int:
    """The number of rows in a block of x (N, D) for products of this dtype; fewer on a GPU, where chunks are large."""
    if x.device.type == "cpu":
        return ROWS
    return max(1, min(ROWS, BYTES // (samples_per_chunk(x) * dtype.itemsize)))


def samples_per_chunk(x: Tensor) -> int:
    """The number of samples in a chunk for x (N, D)."""
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
