"""The epilogue as generated C++: two small kernels, compiled once per process where there is a compiler."""

from __future__ import annotations

import os
import shutil
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor

from aaeframe_kernels.parzen.engine import Partial

WORTH: Final = 1e10
"""Pairs times bandwidths seen from which on compiling pays: it takes 4 to 15 seconds and saves up to 1 ns of each."""

_OPTIONS: Final[dict[str, Any]] = {"cpp.enable_floating_point_contract_flag": "fast"}
"""A multiplication and an addition may become one instruction."""


class Kernels(NamedTuple):
    """The two kernels, or None twice and the reason."""

    distances: Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]] | None
    kernel_sum: Callable[[Tensor, Tensor, Tensor], Tensor] | None
    reason: str


_made: Final[dict[bool, Kernels]] = {}
"""What `kernels` has for products that are transposed, and for others."""


def kernels(*, transposed: bool) -> Kernels:
    """The kernels for products that lie (N, C) in memory, or (C, N) if transposed; made on the first call.

    Whatever goes wrong in the compiler is kept as the reason, and the plain operations serve.
    """
    if transposed not in _made:
        _made[transposed] = _make(transposed)
    return _made[transposed]


def partial(products: Tensor, row: Tensor, column: Tensor, rates: Sequence[Tensor]) -> Partial | None:
    """The partial state of a chunk as `Epilogue` has it, products untouched; None where plain operations must serve.

    Other numbers of threads compile anew, and where that fails it is not tried again.
    """
    transposed = not products.is_contiguous()
    made = kernels(transposed=transposed)
    if made.distances is None or made.kernel_sum is None:
        return None
    try:
        squared, nearest = made.distances(products, row, column)
        return Partial(nearest, torch.stack([made.kernel_sum(squared, nearest, rate) for rate in rates], dim=1))
    except Exception as failure:  # as in _make
        _made[transposed] = _failed(failure)
        return None


def compiler() -> str | None:
    """The C++ compiler that torch.compile would find, None without one; nothing is run."""
    names = (os.environ.get("CXX", "cl" if sys.platform == "win32" else "g++"), "clang++", "c++")
    return next(filter(None, map(shutil.which, names)), None)


def _make(transposed: bool) -> Kernels:
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # the compiler's own, about its workings
            distances = torch.compile(_distances, dynamic=True, options=_OPTIONS)
            kernel_sum = torch.compile(_kernel_sum, dynamic=True, options=_OPTIONS)
            error = _try(distances, kernel_sum, transposed)
    except Exception as failure:  # any failure of another's compiler has the same answer
        return _failed(failure)
    if not error < 1e-4:
        return Kernels(None, None, f"plain torch: the compiled kernels are wrong here by {error:.1e}")
    return Kernels(distances, kernel_sum, "compiled by torch.compile")


def _failed(failure: Exception) -> Kernels:
    return Kernels(None, None, f"plain torch: torch.compile failed: {type(failure).__name__}: {str(failure)[:200]}")


def exp_of_negative(u: Tensor) -> Tensor:
    """exp(-u) for u >= 0 in float32, by 1 + v q(v) at v = u/64 and six squarings; exp(-32) beyond 32; NaN stays.

    q is the minimax polynomial on [0, 1/2], relative error 1.2e-8, which the squarings make 1e-6 and rounding at most
    6e-6: in nats, what it may add to a log-likelihood. No branch, table or conversion, so it vectorizes, and takes
    half the time of the generated call to the mathematics library.
    """
    v = u.clamp_max(32.0) * (1 / 64)
    p = v * -0.006505269121579734 + 0.04068698806504817
    p = p * v - 0.1664214338841257
    p = p * v + 0.4999727354335242
    p = p * v - 0.9999989983421289
    p = p * v + 1
    for _ in range(6):
        p = p * p
    return p


def _distances(products: Tensor, row: Tensor, column: Tensor) -> tuple[Tensor, Tensor]:
    """Squared distances (N, C), one row after the other in memory, and the least of each row (N,)."""
    squared = (row[:, None] - products + column[None, :]).clamp_min(0).contiguous()
    return squared, squared.amin(1)


def _kernel_sum(squared: Tensor, nearest: Tensor, rate: Tensor) -> Tensor:
    """sum_j exp(-rate (squared_ij - nearest_i)), (N,); rate (1,)."""
    return exp_of_negative((squared - nearest[:, None]) * rate).sum(1)


def _try(distances: Any, kernel_sum: Any, transposed: bool) -> float:
    """Compile by running on an example; the largest error against plain operations.

    No two sizes agree and none is 1, for the compiler would take that for a rule; and it is large enough that the
    compiler finds several threads worth their while.
    """
    rows, samples = 1040, 1200
    products = torch.linspace(0, 9, rows * samples).reshape((samples, rows) if transposed else (rows, samples))
    products = products.t() if transposed else products
    row, column, rate = torch.linspace(9, 10, rows), torch.linspace(0, 1, samples), torch.tensor([0.5])
    found, found_nearest = distances(products, row, column)
    squared, nearest = _distances(products, row, column)
    sums, expected = kernel_sum(squared, nearest, rate), torch.exp((nearest[:, None] - squared) * 0.5).sum(1)
    errors = ((found - squared).abs().max(), (found_nearest - nearest).abs().max(), (sums / expected - 1).abs().max())
    return max(float(error) for error in errors)
