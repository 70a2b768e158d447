"""From inner products to a partial state: squared distances, the smallest of each row, and the kernel sums."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from aaeframe_kernels.parzen.compiled import partial
from aaeframe_kernels.parzen.engine import Partial

LEAST: Final = -80.0
"""Replaces smaller exponents by exp(-80) = 2e-35: the exponential takes twenty times as long where it underflows."""


class Epilogue:
    """Computes |x - s|^2 = row + column - products, and the partial state from it, for one block of rows.

    row (N,) has the squared norms of the block, rates (S,) are 1 / (2 h^2). `compiled` requests the generated kernels
    (float32 on the CPU). If they are not available or not requested, plain operations compute the same.
    """

    def __init__(self, row: Tensor, rates: Tensor, *, compiled: bool) -> None:
        self._row = row
        self._rates = rates.split(1)
        self._wanted = compiled and row.device.type == "cpu" and row.dtype == torch.float32

    def __call__(self, products: Tensor, column: Tensor) -> Partial:
        """The partial state of a chunk: products (N, C) are 2 x.s and may be overwritten, column (C,) is |s|^2."""
        wanted = self._wanted and 1 not in products.shape
        compiled = partial(products, self._row, column, self._rates) if wanted else None
        return compiled or self._plain(products, column)

    def _plain(self, products: Tensor, column: Tensor) -> Partial:
        """The partial state by plain operations, in place, because each pass over memory counts."""
        squared = products.neg_().add_(self._row[:, None]).add_(column).clamp_min_(0)
        nearest = squared.amin(1)
        below = torch.sub(nearest[:, None], squared, out=squared)
        scratch = torch.empty_like(below)
        sums = [torch.mul(below, rate, out=scratch).clamp_min_(LEAST).exp_().sum(1) for rate in self._rates]
        return Partial(nearest, torch.stack(sums, dim=1))
