"""The engine for any floating-point data on any device: a matrix product per chunk, then the epilogue."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from aaeframe_kernels.dispatch import launches
from aaeframe_kernels.parzen.blocks import concatenate, row_blocks, rows_per_block
from aaeframe_kernels.parzen.engine import Partial
from aaeframe_kernels.parzen.epilogue import Epilogue
from aaeframe_kernels.parzen.rounding import Centered


class PortableEngine:
    """Squared distances |x|^2 + |s|^2 - 2 x.s in float32 or float64, with x's mean subtracted against cancellation.

    An exacting engine, in float32, refuses chunks for which rounding errors may be too large, see `rounding`. It
    refuses all chunks while torch is set to multiply float32 with less precision.
    """

    def __init__(
        self, x: Tensor, bandwidths: Tensor, dtype: torch.dtype, *, compiled: bool = False, exacting: bool = False
    ) -> None:
        self.name = "fp32" if dtype == torch.float32 else "float64"
        self._x, self._dtype, self._compiled, self._exacting = x, dtype, compiled, exacting
        self._rates = (0.5 / bandwidths.double().square()).to(x.device)
        self._centered = Centered(x, bandwidths)

    @functools.cached_property
    def _blocks(self) -> list[tuple[Tensor, Epilogue]]:
        """Blocks of centered rows of x, times 2, each with its epilogue; made on first use."""
        rates, norms = self._rates.to(self._dtype), self._centered.norms.to(self._dtype)
        size = rows_per_block(self._x, self._dtype)
        pairs = zip(row_blocks(self._x, size), row_blocks(norms, size), strict=True)
        return [
            (2 * self._centered.rows(x, self._dtype), Epilogue(row, rates, compiled=self._compiled)) for x, row in pairs
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
