"""The engine for any floating-point data on any device: blocks of rows, a matrix product per chunk, the epilogue."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from aaeframe_kernels.dispatch import launches
from aaeframe_kernels.parzen import compiled as generated
from aaeframe_kernels.parzen.engine import Engine, Partial
from aaeframe_kernels.parzen.rounding import Centered

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

LEAST: Final = -80.0
"""Replaces smaller exponents by exp(-80) = 2e-35: the exponential takes twenty times as long where it underflows."""


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


class Epilogue:
    """Computes |x - s|^2 = row + column - products, and the partial state from it, for one block of rows.

    row (N,) has the squared norms of the block, rates (S,) are 1 / (2 h^2) in float64. `compiled` requests the
    generated kernels (float32 on the CPU). If they are not available or not requested, plain operations compute the
    same.
    """

    def __init__(self, row: Tensor, rates: Tensor, *, compiled: bool) -> None:
        self._row = row
        self._rates = rates.to(row.dtype).split(1)
        self._wanted = compiled and row.device.type == "cpu" and row.dtype == torch.float32
        self._octave = generated.octaves(rates) if self._wanted else 1

    def __call__(self, products: Tensor, column: Tensor) -> Partial:
        """The partial state of a chunk: products (N, C) are 2 x.s and may be overwritten, column (C,) is |s|^2."""
        wanted = self._wanted and 1 not in products.shape
        compiled = generated.partial(products, self._row, column, self._rates, self._octave) if wanted else None
        return compiled or self._plain(products, column)

    def _plain(self, products: Tensor, column: Tensor) -> Partial:
        """The partial state by plain operations, in place, because each pass over memory counts."""
        squared = products.neg_().add_(self._row[:, None]).add_(column).clamp_min_(0)
        nearest = squared.amin(1)
        below = torch.sub(nearest[:, None], squared, out=squared)
        scratch = torch.empty_like(below)
        sums = [torch.mul(below, rate, out=scratch).clamp_min_(LEAST).exp_().sum(1) for rate in self._rates]
        return Partial(nearest, torch.stack(sums, dim=1))


class PortableEngine(Engine):
    """Squared distances |x|^2 + |s|^2 - 2 x.s in float32 or float64, with x's mean subtracted against cancellation.

    An exacting engine, in float32, refuses chunks for which rounding errors may be too large, see `rounding`. It
    refuses all chunks while torch is set to multiply float32 with less precision.
    """

    def __init__(
        self, x: Tensor, bandwidths: Tensor, dtype: torch.dtype, *, compiled: bool = False, exacting: bool = False
    ) -> None:
        self.name = "fp32" if dtype == torch.float32 else "float64"
        self._x, self._dtype, self._compiled, self._exacting = x, dtype, compiled, exacting
        self.rates = (0.5 / bandwidths.double().square()).to(x.device)
        self._centered = Centered(x, bandwidths)

    @functools.cached_property
    def _blocks(self) -> list[tuple[Tensor, Epilogue]]:
        """Blocks of centered rows of x, times 2, each with its epilogue; made on first use."""
        norms = self._centered.norms.to(self._dtype)
        size = rows_per_block(self._x, self._dtype)
        pairs = zip(row_blocks(self._x, size), row_blocks(norms, size), strict=True)
        return [
            (2 * self._centered.rows(x, self._dtype), Epilogue(row, self.rates, compiled=self._compiled))
            for x, row in pairs
        ]

    def accepts(self, chunk: Tensor) -> bool:
        """Whether the chunk is supported: any; if exacting, those for which float32 is accurate enough."""
        return not self._exacting or (_multiplies_in_full(chunk.device) and self._centered.suffices(chunk))

    def partial(self, chunk: Tensor) -> Partial:
        """Nearest distances and kernel sums of one chunk."""
        launches[f"cpu/parzen_{self.name}"] += 1
        samples = self._centered.rows(chunk, self._dtype)
        norms = torch.linalg.vecdot(samples, samples)
        return concatenate([epilogue(twice @ samples.t(), norms) for twice, epilogue in self._blocks])


def _multiplies_in_full(device: torch.device) -> bool:
    """Whether torch multiplies float32 matrices in full; `torch.set_float32_matmul_precision` may change that."""
    backend = torch.backends.cuda if device.type == "cuda" else torch.backends.mkldnn
    return backend.matmul.fp32_precision in ("none", "ieee")
