"""Small kernels as generated C++, for digits and for the epilogue: compiled once per process if there is a compiler."""

from __future__ import annotations

import functools
import os
import shutil
import sys
import warnings
from collections.abc import Callable, Sequence
from types import FunctionType
from typing import Any, Final

import torch
from torch import Tensor

from aaeframe_kernels.parzen.engine import Partial
from aaeframe_kernels.parzen.rounding import UNITS

WORTH: Final = 1e10
"""The number of pairs times bandwidths from which compiling pays: it takes 4 to 15 s and saves up to 1 ns for each."""

MOST_RATES: Final = 32
"""The largest number of rates in one kernel, which has a few lines of code for each."""

MOST_OCTAVES: Final = 4
"""The largest number of octaves: each squaring doubles an exponential's relative error, which is up to 6e-6."""

LEAST_ROOT: Final = 1e-17
"""Replaces smaller numbers before they are squared: below 1e-38 arithmetic takes a hundred times as long."""

_OPTIONS: Final[dict[str, Any]] = {"cpp.enable_floating_point_contract_flag": "fast"}
"""Allows fusing a multiplication and an addition into one instruction."""


COMPILED: Final = "compiled by torch.compile"


class Generated:
    """A function of tensors that is compiled at its first call.

    It is compiled on an example, whose result must be that of `expected`, by default the plain function itself. If
    anything fails, the reason is kept, and calls return None. All sizes of an example differ and none is 1, because the
    compiler would specialize on that. An example is large enough that the compiler uses several threads.
    """

    def __init__(
        self,
        plain: Callable[..., tuple[Tensor, ...]],
        example: Callable[[], tuple[Any, ...]],
        expected: Callable[..., tuple[Tensor, ...]] | None = None,
    ) -> None:
        self._plain, self._example, self._expected = plain, example, expected or plain
        self._compiled: Callable[..., tuple[Tensor, ...]] | None = None
        self._reason: str | None = None

    def __call__(self, *arguments: Any) -> tuple[Tensor, ...] | None:
        """The result; None if plain operations must be used.

        Another number of threads compiles again; if that fails, it is not tried again.
        """
        if self._reason is None:
            self._attempt(self._make)
        if self._compiled is None:
            return None
        return self._attempt(functools.partial(self._compiled, *arguments))

    @property
    def reason(self) -> str:
        """Whether it is compiled, or why not. It is compiled now if it has not been called."""
        if self._reason is None:
            self._attempt(self._make)
        return str(self._reason)

    def _attempt(self, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except Exception as failure:  # a compiler may fail in any way
            self._compiled = None
            self._reason = f"plain torch: torch.compile failed: {type(failure).__name__}: {str(failure)[:200]}"
            return None

    def _make(self) -> None:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # the compiler's warnings about itself
            # fullgraph: what cannot be compiled, or was compiled too often, raises and does not run slowly.
            compiled = torch.compile(self._plain, dynamic=True, fullgraph=True, options=_OPTIONS)
            example = self._example()
            errors = list(map(_difference, compiled(*example), self._expected(*example)))
        if all(error < 1e-4 for error in errors):
            self._compiled, self._reason = compiled, COMPILED
        else:
            self._reason = f"plain torch: the compiled kernels are wrong here by {errors}"


def _difference(found: Tensor, expected: Tensor) -> float:
    """The largest difference, as a share of the largest value."""
    return float((found.double() - expected.double()).abs().max() / expected.double().abs().max())


@functools.cache
def digits() -> Generated:
    """Samples (C, D) in [0, 1], float32, to their digits and norms, as `int8.digits` says."""
    return Generated(_digits, lambda: (torch.linspace(0, 1, 1200 * 260).reshape(1200, 260),))


@functools.cache
def distances(*, transposed: bool) -> Generated:
    """Products (N, C), transposed in memory or not, |x|^2 and |s|^2 to squared distances and the nearest."""

    def example() -> tuple[Tensor, ...]:
        rows, samples = 1040, 1200
        products = torch.linspace(0, 9, rows * samples).reshape((samples, rows) if transposed else (rows, samples))
        return products.t() if transposed else products, torch.linspace(9, 10, rows), torch.linspace(0, 1, samples)

    return Generated(_own(_distances), example)


@functools.cache
def kernel_sums(rates: int, octaves: int) -> Generated:
    """Squared distances (N, C), the nearest (N,) and `rates` rates (1,) to sums (N,) for each rate times 1, 2, 4 ..."""

    def plain(squared: Tensor, nearest: Tensor, *rates: Tensor) -> tuple[Tensor, ...]:
        return tuple(total for rate in rates for total in _kernel_sums(squared, nearest, rate, octaves))

    def expected(squared: Tensor, nearest: Tensor, *rates: Tensor) -> tuple[Tensor, ...]:
        below = (nearest[:, None] - squared).double()
        return tuple(torch.exp(below * rate * 2**k).sum(1) for rate in rates for k in range(octaves))

    def example() -> tuple[Tensor, ...]:
        squared = torch.linspace(0, 20, 1040 * 1200).reshape(1040, 1200)
        return squared, squared.amin(1), *torch.linspace(0.5, 0.9, rates).split(1)

    return Generated(_own(plain), example, expected)


def outcome(rates: Tensor, *, transposed: bool) -> str:
    """Whether all that an estimate with these rates uses is compiled, or the first reason why not; compiles it now.

    `transposed`: with the products and digits of int8x2.
    """
    octave = octaves(rates)
    count = len(rates) // octave
    used = [distances(transposed=transposed), kernel_sums(octave if count > 1 else 1, count)]
    used += [digits()] if transposed else []
    return next((it.reason for it in used if it.reason != COMPILED), COMPILED)


def _own(function: Callable[..., tuple[Tensor, ...]]) -> Callable[..., tuple[Tensor, ...]]:
    """The function with code of its own: the compiler keeps eight variants of one code at most."""
    return FunctionType(
        function.__code__.replace(), function.__globals__, function.__name__, None, function.__closure__
    )


def octaves(rates: Tensor) -> int:
    """The number of rates (S,), falling, in an octave: each rate is twice the one that many places later; S if none.

    S also if there are more than MOST_OCTAVES.
    """
    count = len(rates)
    for size in range(-(-count // MOST_OCTAVES), count // 2 + 1) if count <= MOST_RATES else ():
        if count % size == 0 and torch.allclose(rates[:-size], 2 * rates[size:], rtol=1e-9, atol=0):
            return size
    return count


def partial(products: Tensor, row: Tensor, column: Tensor, rates: Sequence[Tensor], octave: int) -> Partial | None:
    """The partial state of a chunk as in `Epilogue`, with products unchanged; None if plain operations must be used.

    `octave` is the number of rates in an octave, whose exponentials are squared for the next one.
    """
    found = distances(transposed=not products.is_contiguous())(products, row, column)
    if found is None:
        return None
    squared, nearest = found
    count = len(rates) // octave
    calls = [rates[-octave:]] if count > 1 else [[rate] for rate in rates]
    made = [kernel_sums(len(some), count)(squared, nearest, *some) for some in calls]
    if None in made:
        return None
    sums = [total for some in made if some is not None for total in some]
    # Those of one rate lie side by side, from the smallest; the largest is wanted first.
    return Partial(nearest, torch.stack(sums, dim=1).unflatten(1, (-1, count)).flip(2).mT.flatten(1))


def compiler() -> str | None:
    """The C++ compiler that torch.compile would use, None without one; it is not run."""
    names = (os.environ.get("CXX", "cl" if sys.platform == "win32" else "g++"), "clang++", "c++")
    return next(filter(None, map(shutil.which, names)), None)


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
    # Powers, not p * p: the compiler traces each operand anew, so that six squarings of that form are traced 64 times.
    return (p * v + 1).pow(16).pow(4)


def _distances(products: Tensor, row: Tensor, column: Tensor) -> tuple[Tensor, Tensor]:
    """Squared distances (N, C), contiguous by rows, and the smallest of each row (N,)."""
    squared = (row[:, None] - products + column[None, :]).clamp_min(0).contiguous()
    return squared, squared.amin(1)


def _kernel_sums(squared: Tensor, nearest: Tensor, rate: Tensor, octaves: int) -> list[Tensor]:
    """The sums sum_j exp(-r (squared_ij - nearest_i)), (N,) each, for r = rate, 2 rate, 4 rate, ...; rate (1,)."""
    powers = [exp_of_negative((squared - nearest[:, None]) * rate)]
    for _ in range(octaves - 1):
        powers.append(powers[-1].clamp_min(LEAST_ROOT).pow(2))
    return [power.sum(1) for power in powers]


def _digits(chunk: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    units = (chunk * UNITS).round()
    whole, exact = units.to(torch.int32), units.double()
    norms = (exact * (exact - UNITS * 256 / 255)).sum(1) / UNITS**2
    return (whole >> 8).to(torch.uint8), (whole & 255).to(torch.uint8), norms.float()
