"""The effect of rounding on a row's log-likelihood: the bounds under which `auto` uses an engine, on any device."""

from __future__ import annotations

import functools
import math
from typing import Final

import torch
from torch import Tensor

from aaeframe_kernels.parzen.inputs import as_data

UNITS: Final = 65280
"""Samples in [0, 1] are rounded to multiples of 1/65280 = 1/(255 * 256); a uint8 pixel step is 256 of these."""

OF_PIXELS: Final = 0.02
"""The largest expected effect of rounding on one row's log-likelihood for which `auto` uses a pixel engine, in nats."""

OF_FLOATS: Final = 0.01
"""The largest bound on the error of float32 for which `auto` does not use float64, in nats."""

HALF_STEP: Final = torch.finfo(torch.float32).eps / 2


def sums_suffice(features: int, least: float) -> bool:
    """Whether float32 holds squared distances of this many pixels, up to D, within OF_PIXELS; `least` bandwidth."""
    return features * _rate(least) * HALF_STEP <= OF_PIXELS


def digits_suffice(chunk: Tensor, least: float) -> bool:
    """Whether int8x2 is accurate within OF_PIXELS for a chunk (C, D) in [0, 1]: its float32 sums, and its rounded
    samples. `least` is the least bandwidth.

    Rounded samples are off by 1/(65280 sqrt(12)) per feature, random pixels sqrt(D/6) apart; uint8 samples are exact.
    """
    features = chunk.shape[1]
    moved = 2 * _rate(least) * math.sqrt(features / 6) / (UNITS * math.sqrt(12))
    return sums_suffice(features, least) and (chunk.dtype == torch.uint8 or moved <= OF_PIXELS)


class Centered:
    """Rows minus the mean of x, against cancellation in |x|^2 + |s|^2 - 2 x.s, and the error of float32 there."""

    def __init__(self, x: Tensor, bandwidths: Tensor) -> None:
        self._x, self._rate = x, _rate(float(bandwidths.min()))

    def rows(self, chunk: Tensor, dtype: torch.dtype) -> Tensor:
        """Rows minus the center, subtracted in the wider of both dtypes, then converted to `dtype`."""
        wide = torch.promote_types(dtype, chunk.dtype)
        return (as_data(chunk, wide) - self._center.to(wide)).to(dtype)

    @functools.cached_property
    def norms(self) -> Tensor:
        """The squared norms |x|^2 of the centered rows, (N,) float64."""
        return (as_data(self._x, torch.float64) - self._center).square().sum(1)

    def suffices(self, chunk: Tensor) -> bool:
        """Whether |x|^2 + |s|^2, rounded to float32, changes no result by more than OF_FLOATS."""
        samples = self.rows(chunk, torch.float32)
        norms = torch.linalg.vecdot(samples, samples).double()
        return not bool(norms.max() > self.largest)  # NaN passes: it stays NaN in any dtype

    @functools.cached_property
    def largest(self) -> float:
        """The largest |s|^2 of a sample that `suffices`; negative if none does."""
        return OF_FLOATS / (HALF_STEP * self._rate) - float(self.norms.nan_to_num().max())

    @functools.cached_property
    def _center(self) -> Tensor:
        """The mean of x without its NaN, (D,) float32, so that the center is the same in any dtype."""
        return as_data(self._x, torch.float64).nanmean(0).float().nan_to_num()


def _rate(bandwidth: float) -> float:
    return 0.5 / bandwidth**2
