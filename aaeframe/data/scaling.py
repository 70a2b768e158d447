"""The scale of data: how the user's units become the model's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from torch.distributions import constraints

from aaeframe.configuration.reading import Scale
from aaeframe.data.dataset import Split
from aaeframe.data.statistics import Range, moments, value_range
from aaeframe.errors import DataError
from aaeframe.protocols import DataSpec

FAR: Final = 4.0
"""The distance from zero, relative to the width of the values, from which float32 is too coarse."""

MOST_WHOLE: Final = 10**15
"""The number up to which whole numbers are written in full."""


def pixels(shape: Sequence[int], white: float, black: float = 0.0) -> DataSpec:
    """The scale for values from `black` to `white`, mapped to [0, 1].

    It is float64 if the values are far from zero for their width: float32 would lose differences.
    """
    precision = torch.float64 if max(abs(black), abs(white)) > FAR * (white - black) else torch.float32
    low, width = (torch.tensor(it, dtype=precision, device="cpu") for it in (black, white - black))
    return DataSpec(torch.Size(shape), constraints.unit_interval, low, width)


def fit(train: Split, stored: np.dtype, asked: Scale | None, where: str) -> tuple[DataSpec, str]:
    """The scale of a data set by its training rows, and the reason for it in words.

    | data | support | scale |
    | --- | --- | --- |
    | tables, of any type | real | mean and standard deviation of each feature; 1 for a constant feature |
    | bool, and numbers within 0..1 | [0, 1] | as they are |
    | integers that reach the upper half of their type | [0, 1] | the range of the type |
    | other integers | [0, 1] | from their least to their greatest value |
    | whole numbers within 0..255 of a real type | [0, 1] | as uint8 |
    | other images and series | real | as tables |

    `stored` is the type in the file, `asked` the option `scale`. DataError if what was asked is not possible.
    """
    if asked == "standardize" or (asked is None and len(train.shape) == 1):
        return standardized(train), "standardized by the training rows, " + ("a table" if asked is None else "as asked")
    if asked == "none":
        zero, one = (torch.tensor(it, dtype=_precision(train), device="cpu") for it in (0.0, 1.0))
        return DataSpec(torch.Size(train.shape), constraints.real, zero, one), "left as it is, as asked"
    if asked == "pixels" and stored == np.uint8:
        return pixels(train.shape, 255.0), "pixels within 0..255, as asked"
    found = value_range(train, whole_of_uint8=asked is not None)
    if isinstance(asked, tuple):
        return _between(train, found, *asked, where)
    if asked == "pixels":
        return _pixels_of(train, stored, found, where)
    if found.low >= 0.0 and found.high <= 1.0:
        return pixels(train.shape, 1.0), "pixels within 0..1"
    if stored.kind in "iu" or (found.whole and found.low >= 0 and found.high <= 255):
        return _integers(train, found, stored if stored.kind in "iu" else np.dtype(np.uint8))
    return standardized(train), f"standardized by the training rows, as the values are {_ends(found.low, found.high)}"


def standardized(train: Split) -> DataSpec:
    """The scale by mean and standard deviation of each feature over the training rows."""
    mean, std = (torch.from_numpy(moment).to(_precision(train)) for moment in moments(train))
    return DataSpec(torch.Size(train.shape), constraints.real, mean, std)


def _precision(train: Split) -> torch.dtype:
    return torch.float64 if train.dtype == np.float64 else torch.float32


def _integers(train: Split, found: Range, stored: np.dtype) -> tuple[DataSpec, str]:
    kind = np.iinfo(stored)
    if found.high > kind.max / 2:
        black = 0.0 if found.low >= 0 else float(kind.min)
        spec = pixels(train.shape, float(kind.max), black)
        return spec, f"pixels within {_ends(black, kind.max)}, the range of {stored.name}"
    white = found.high if found.high > found.low else found.low + 1
    why = (
        f"pixels within {_ends(found.low, white)}, the range of the training rows, which are in the lower half of "
        f"{stored.name}; data.scale=pixels uses the range of the type"
    )
    return pixels(train.shape, white, found.low), why


def _pixels_of(train: Split, stored: np.dtype, found: Range, where: str) -> tuple[DataSpec, str]:
    """The scale of pixels by their type, whatever values occur."""
    white = float(np.iinfo(stored).max) if stored.kind in "iu" else 1.0 if found.high <= 1 else 255.0
    if found.low < 0 or found.high > white:
        raise DataError(
            f"{where}: data.scale=pixels is for values within {_ends(0, white)}, found {_ends(found.low, found.high)}. "
            "Give data.scale=[low, high] or data.scale=standardize."
        )
    return pixels(train.shape, white), f"pixels within 0..{white:g}, as asked"


def _between(train: Split, found: Range, low: float, high: float, where: str) -> tuple[DataSpec, str]:
    if found.low < low or found.high > high:
        raise DataError(
            f"{where}: data.scale=[{_ends(low, high, ', ')}] was asked for, but the training values "
            f"are {_ends(found.low, found.high)}. Give an interval that holds them, or data.scale=standardize."
        )
    return pixels(train.shape, high, low), f"{_ends(low, high)} to 0..1, as asked"


def _ends(low: float, high: float, between: str = "..") -> str:
    """The ends of a range in words, "0..255": whole numbers in full, others to enough digits to tell them apart."""
    digits = 12 if max(abs(low), abs(high)) > 1000 * (high - low) else 6
    return between.join(
        f"{int(it)}" if it == round(it) and abs(it) < MOST_WHOLE else f"{it:.{digits}g}" for it in (low, high)
    )
