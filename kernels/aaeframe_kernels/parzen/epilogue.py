"""From inner products to a partial state: squared distances, the least of each row, and the kernel sums."""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor

from aaeframe_kernels.parzen.compiled import kernels
from aaeframe_kernels.parzen.engine import Partial

REACH: Final = 32.0
"""Where a row's nearest sample of a chunk adds exp(-32) = 1e-14 or less of what the row has, the chunk adds nothing."""


class Epilogue:
    """|x - s|^2 = row + column - products, and from it the partial state, for one block of rows.

    row (N,) holds the squared norms of the block, rates (S,) are 1 / (2 h^2). `compiled` asks for the generated kernels
    (float32 on the CPU); where they are not to be had, and without it, plain operations compute the same.
    """

    def __init__(self, row: Tensor, rates: Tensor, *, compiled: bool) -> None:
        self._row = row
        self._rates = rates.split(1)
        self._numbers: list[float] = rates.tolist()
        self._wanted = compiled and row.device.type == "cpu" and row.dtype == torch.float32
        self._seen = torch.full_like(row, math.inf)

    @torch.no_grad()
    def __call__(self, products: Tensor, column: Tensor) -> Partial:
        """The partial state of a chunk: products (N, C) are 2 x.s and may be overwritten, column (C,) is |s|^2."""
        made = kernels(transposed=not products.is_contiguous()) if self._wanted else None
        if made is None or made.distances is None or made.kernel_sum is None or 1 in products.shape:
            return self._plain(products, column)
        squared, nearest = made.distances(products, self._row, column)
        return Partial(nearest, torch.stack([made.kernel_sum(squared, nearest, r) for r in self._rates], dim=1))

    def _plain(self, products: Tensor, column: Tensor) -> Partial:
        """In place, with the exponential only where it counts.

        A row is left out, its sum 0, if for this bandwidth its nearest sample here is out of reach of the nearest one it
        has met; the state's merge drops such a sum whatever it is, so leaving it out changes no bit of the result.
        """
        squared = products.neg_().add_(self._row[:, None]).add_(column).clamp_min_(0)
        nearest = squared.amin(1)
        beyond = squared.sub_(nearest[:, None])
        self._seen = torch.minimum(self._seen, nearest)
        gap = (nearest - self._seen).double()
        return Partial(nearest, torch.stack([_sum_in_reach(beyond, gap, rate) for rate in self._numbers], dim=1))


def in_reach(gap: Tensor, rate: float | Tensor) -> Tensor:
    """Whether a nearest sample farther by `gap` than the nearest of all counts; NaN does, so that it is seen."""
    return ~(gap * rate > REACH)


def _sum_in_reach(beyond: Tensor, gap: Tensor, rate: float) -> Tensor:
    """sum_j exp(-rate beyond_ij) of the rows in reach, (N,); 0 for the others."""
    kept = in_reach(gap, rate).nonzero().squeeze(1)
    if len(kept) == len(beyond):
        return torch.exp(beyond * -rate).sum(1)
    return beyond.new_zeros(len(beyond)).index_copy_(0, kept, torch.exp(beyond[kept] * -rate).sum(1))
