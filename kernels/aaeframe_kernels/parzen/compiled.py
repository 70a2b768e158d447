"""The epilogue as generated C++: two small kernels, compiled once per process if there is a compiler."""

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
"""The number of pairs times bandwidths from which compiling pays: it takes 4 to 15 s and saves up to 1 ns for each."""

_OPTIONS: Final[dict[str, Any]] = {"cpp.enable_floating_point_contract_flag": "fast"}
"""Allows fusing a multiplication and an addition into one instruction."""


class Kernels(NamedTuple):
    """The two kernels, or None twice and the reason."""

    distances: Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]] | None
    kernel_sum: Callable[[Tensor, Tensor, Tensor], Tensor] | None
    reason: str


_made: Final[dict[bool, Kernels]] = {}
"""The cached result of `kernels` for transposed products, and for others."""


def kernels(*, transposed: bool) -> Kernels:
    """The kernels for products that lie (N, C) in memory, or (C, N) if transposed; made on the first call.

    If compiling fails, the reason is kept and plain operations are used.
    """
    if transposed not in _made:
        _made[transposed] = _make(transposed)
    return _made[transposed]


def partial(products: Tensor, row: Tensor, column: Tensor, rates: Sequence[Tensor]) -> Partial | None:
    """The partial state of a chunk as in `Epilogue`, with products unchanged; None if plain operations must be used.

    Another number of threads compiles again; if that fails, it is not tried again.
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
    """The C++ compiler that torch.compile would use, None without one; it is not run."""
    names = (os.environ.get("CXX", "cl" if sys.platform == "win32" else "g++"), "clang++", "c++")
    return next(filter(None, map(shutil.which, names)), None)


def _make(transposed: bool) -> Kernels:
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # the compiler's warnings about itself
            distances = torch.compile(_distances, dynamic=True, options=_OPTIONS)
            kernel_sum = torch.compile(_kernel_sum, dynamic=True, options=_OPTIONS)
            error = _try(distances, kernel_sum, transposed)
    except Exception as failure:  # a compiler may fail in any way
        return _failed(failure)
    if not error < 1e-4:
        return Kernels(None, None, f"plain torch: the compiled kernels are wrong here by {error:.1e}")
    return Kernels(distances, kernel_sum, "compiled by torch.compile")


def _failed(failure: Exception) -> Kernels:
    return Kernels(None, None, f"plain torch: torch.compile failed: {type(failure).__name__}: {str(failure)[:200]}")


def exp_of_negative(u: Tensor) -> Tensor:
    """Compute exp(-u) for u >= 0 in float32, by 1 + v q(v) at v = u/64 and six squarings; exp(-32) beyond 32; NaN
    stays.

    q is the minimax polynomial on [0, 1/2] with relative error 1.2e-8. The squarings make it 1e-6, and with rounding it
    is at most 6e-6, which is also the largest error of a log-likelihood in nats. There is no branch, table or
    conversion, so it vectorizes, and takes half the time of the generated call to the mathematics library.
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
    """Squared distances (N, C), contiguous by rows, and the smallest of each row (N,)."""
    squared = (row[:, None] - products + column[None, :]).clamp_min(0).contiguous()
    return squared, squared.amin(1)


def _kernel_sum(squared: Tensor, nearest: Tensor, rate: Tensor) -> Tensor:
    """The sums sum_j exp(-rate (squared_ij - nearest_i)), (N,); rate (1,)."""
    return exp_of_negative((squared - nearest[:, None]) * rate).sum(1)


def _try(distances: Any, kernel_sum: Any, transposed: bool) -> float:
    """Compile by running an example; returns the largest error against plain operations.

    All sizes differ and none is 1, because the compiler would specialize on that. The example is large enough that the
    compiler uses several threads.
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
