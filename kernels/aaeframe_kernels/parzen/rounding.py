"""What rounding may cost a row's log-likelihood: the bounds under which `auto` takes an engine, on any device."""

from __future__ import annotations

import functools
import math
from typing import Final

import torch
from torch import Tensor

from aaeframe_kernels.parzen.inputs import as_data

UNITS: Final = 65280
"""Samples in [0, 1] are rounded to multiples of 1/65280 = 1/(255 * 256): a uint8 pixel is a multiple of 256 of them."""

OF_PIXELS: Final = 0.02
"""Nats: the largest expected effect of rounding on one row's log-likelihood that `auto` takes of a pixel engine."""

OF_FLOATS: Final = 0.01
"""Nats: the most that float32 may cost by its bound before `auto` goes on in float64."""

HALF_STEP: Final = torch.finfo(torch.float32).eps / 2


def sums_suffice(features: int, bandwidths: Tensor) -> bool:
    """Whether float32 can hold squared distances of so many pixels, which reach D, within OF_PIXELS."""
    return features * _greatest_rate(bandwidths) * HALF_STEP <= OF_PIXELS


def digits_suffice(chunk: Tensor, bandwidths: Tensor) -> bool:
    """Whether int8x2 serves a chunk (C, D) in [0, 1] within OF_PIXELS: its float32 sums, and its rounded samples.

    Those are off by 1/(65280 sqrt(12)) per feature, random pixels sqrt(D/6) apart; samples of uint8 are exact.
    """
    features = chunk.shape[1]
    moved = 2 * _greatest_rate(bandwidths) * math.sqrt(features / 6) / (UNITS * math.sqrt(12))
    return sums_suffice(features, bandwidths) and (chunk.dtype == torch.uint8 or moved <= OF_PIXELS)


class Centered:
    """Rows less the mean of x, which cancels less in |x|^2 + |s|^2 - 2 x.s, and what float32 costs there."""

    def __init__(self, x: Tensor, bandwidths: Tensor) -> None:
        self._x, self._rate = x, _greatest_rate(bandwidths)

    def rows(self, chunk: Tensor, dtype: torch.dtype) -> Tensor:
        """Rows less the center; in their own dtype if that is the wider, then in the one asked for."""
        wide = torch.promote_types(dtype, chunk.dtype)
        return (as_data(chunk, wide) - self._center.to(wide)).to(dtype)

    @functools.cached_property
    def norms(self) -> Tensor:
        """|x|^2 of the rows less the center, (N,) float64."""
        return (as_data(self._x, torch.float64) - self._center).square().sum(1)

    def suffices(self, chunk: Tensor) -> bool:
        """Whether |x|^2 + |s|^2, rounded to float32, moves no result by more than OF_FLOATS."""
        samples = self.rows(chunk, torch.float32)
        norms = torch.linalg.vecdot(samples, samples).double()
        largest = (self.norms.nan_to_num().max() + norms.max()) * self._rate
        return not bool(largest * HALF_STEP > OF_FLOATS)  # NaN passes: any dtype shows it

    @functools.cached_property
    def _center(self) -> Tensor:
        """The mean of x without its NaN, (D,) float32, so that it is the same center in any dtype."""
        return as_data(self._x, torch.float64).nanmean(0).float().nan_to_num()


def _greatest_rate(bandwidths: Tensor) -> float:
    """1 / (2 h^2) of the least bandwidth."""
    return 0.5 / float(bandwidths.min()) ** 2
