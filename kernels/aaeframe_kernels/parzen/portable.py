"""The path for any floating-point data on any device: a matrix product per chunk, then the epilogue."""

from __future__ import annotations

import functools
from typing import Final

import torch
from torch import Tensor

from aaeframe_kernels.dispatch import launches
from aaeframe_kernels.parzen.blocks import concatenate, row_blocks
from aaeframe_kernels.parzen.engine import Partial
from aaeframe_kernels.parzen.epilogue import Epilogue
from aaeframe_kernels.parzen.inputs import as_data

TOLERANCE: Final = 0.01
"""Nats: the most that float32 may cost by its bound before `auto` goes on in float64."""


class PortableEngine:
    """|x - s|^2 = |x|^2 + |s|^2 - 2 x.s in float32 or float64, both sides less x's mean, which cancels less.

    An exacting one refuses chunks on which rounding to its dtype could cost more than TOLERANCE, and all while torch is
    set to multiply float32 in less.
    """

    def __init__(
        self, x: Tensor, bandwidths: Tensor, dtype: torch.dtype, *, compiled: bool = False, exacting: bool = False
    ) -> None:
        self.name = "fp32" if dtype == torch.float32 else "float64"
        self._x, self._dtype, self._compiled, self._exacting = x, dtype, compiled, exacting
        self._rates = (0.5 / bandwidths.double().square()).to(x.device)

    @functools.cached_property
    def _center(self) -> Tensor:
        """The mean of x without its NaN, (D,) float32, so that it is the same center in any dtype."""
        return as_data(self._x, torch.float64).nanmean(0).float().nan_to_num()

    @functools.cached_property
    def _norms(self) -> Tensor:
        """|x|^2 of the rows less the center, (N,) float64."""
        return (as_data(self._x, torch.float64) - self._center).square().sum(1)

    @functools.cached_property
    def _blocks(self) -> list[tuple[Tensor, Epilogue]]:
        """Blocks of rows of x, less the center and times 2, each with its epilogue; made when first used."""
        rates = self._rates.to(self._dtype)
        pairs = zip(row_blocks(self._x), row_blocks(self._norms.to(self._dtype)), strict=True)
        return [(2 * self._centered(x), Epilogue(norms, rates, compiled=self._compiled)) for x, norms in pairs]

    def accepts(self, chunk: Tensor) -> bool:
        """Any chunk; an exacting one, where |x|^2 + |s|^2, rounded, cannot move a result by more than TOLERANCE."""
        if not self._exacting:
            return True
        if self._dtype == torch.float32 and not _multiplies_in_full(chunk.device):
            return False
        samples = self._centered(chunk)
        norms = torch.linalg.vecdot(samples, samples).double()
        largest = (self._norms.nan_to_num().max() + norms.max()) * self._rates.max()
        return not bool(largest * (torch.finfo(self._dtype).eps / 2) > TOLERANCE)  # NaN passes: any dtype shows it

    def partial(self, chunk: Tensor) -> Partial:
        """Nearest distances and kernel sums of one chunk."""
        launches[f"cpu/parzen_{self.name}"] += 1
        samples = self._centered(chunk)
        norms = torch.linalg.vecdot(samples, samples)
        return concatenate([epilogue(twice @ samples.t(), norms) for twice, epilogue in self._blocks])

    def _centered(self, chunk: Tensor) -> Tensor:
        """Rows less the mean of x; in their own dtype if that is the wider, then in the engine's."""
        wide = torch.promote_types(self._dtype, chunk.dtype)
        return (as_data(chunk, wide) - self._center.to(wide)).to(self._dtype)


def _multiplies_in_full(device: torch.device) -> bool:
    """Whether torch multiplies float32 matrices as such here; `torch.set_float32_matmul_precision` may forbid it."""
    backend = torch.backends.cuda if device.type == "cuda" else torch.backends.mkldnn
    return backend.matmul.fp32_precision in ("none", "ieee")
