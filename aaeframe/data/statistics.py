"""Range, moments and finiteness of data, computed in pieces, because data may be larger than memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from aaeframe.data.dataset import Split
from aaeframe.errors import DataError

PIECE_BYTES = 32 * 2**20
"""The size of one piece in bytes."""


@dataclass(frozen=True)
class Range:
    """The smallest and the largest value of an array."""

    low: float
    high: float
    whole: bool
    """Whether all values are whole numbers."""


def check_finite(x: np.ndarray, where: str) -> None:
    """Check that each value (N, *shape) is finite as float32.

    Raises:
        DataError: some are not; the message says how many, and where the first is.
    """
    if x.dtype.kind != "f":
        return
    bad, first = 0, None
    for start, piece in _pieces(x):
        finite = np.isfinite(_single(piece))
        if not finite.all():
            places = np.argwhere(~finite)
            first = first or (start + int(places[0][0]), *map(int, places[0][1:]))
            bad += len(places)
    if first is not None:
        raise DataError(_not_finite(x, bad, first, where))


def value_range(split: Split, *, whole_of_uint8: bool = True) -> Range:
    """The range of all values of a split.

    Without `whole_of_uint8`, only as many of these are read as show that they reach the upper half of the type.
    """
    low, high, whole = np.inf, -np.inf, True
    for piece in split.chunks(_rows_per_piece(split.shape)):
        low, high = min(low, float(piece.min())), max(high, float(piece.max()))
        whole = whole and (piece.dtype == np.uint8 or bool((piece == np.rint(piece)).all()))
        if piece.dtype == np.uint8 and high > 127 and not whole_of_uint8:
            break
    return Range(low, high, whole)


def moments(split: Split) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (*shape) of each feature, float64, by Chan's update over pieces.

    A feature that is constant within the precision of the rows' type gets the deviation 1.
    """
    count, mean, squares = 0, np.zeros(split.shape), np.zeros(split.shape)
    low, high = np.full(split.shape, np.inf), np.full(split.shape, -np.inf)
    step = _rows_per_piece(split.shape)
    for start in range(0, len(split), step):
        piece = split.rows(np.arange(start, min(start + step, len(split)))).astype(np.float64)
        low, high = np.minimum(low, piece.min(axis=0)), np.maximum(high, piece.max(axis=0))
        n, center = len(piece), piece.mean(axis=0)
        shift = center - mean
        squares += np.square(piece - center).sum(axis=0) + np.square(shift) * (count * n / (count + n))
        mean += shift * (n / (count + n))
        count += n
    std = np.sqrt(squares / count)
    precision = np.finfo(np.float64 if split.dtype == np.float64 else np.float32).eps
    # the deviation of equal values may be above 0 by rounding
    constant = (low == high) | (std <= np.maximum(precision * np.abs(mean), np.finfo(np.float32).tiny))
    return mean, np.where(constant, 1.0, std)


def _pieces(x: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    step = _rows_per_piece(x.shape[1:])
    for start in range(0, len(x), step):
        yield start, np.asarray(x[start : start + step])


def _rows_per_piece(shape: tuple[int, ...]) -> int:
    return max(1, PIECE_BYTES // (8 * int(np.prod(shape))))


def _single(piece: np.ndarray) -> np.ndarray:
    # overflow gives an infinity, and an invalid value NaN: both are found as not finite
    with np.errstate(over="ignore", invalid="ignore"):
        return piece.astype(np.float32, copy=False)


def _not_finite(x: np.ndarray, bad: int, first: tuple[int, ...], where: str) -> str:
    feature = first[1] if len(first) == 2 else first[1:]
    value = x[first]
    why = "" if not np.isfinite(value) else f", which is beyond float32's {np.finfo(np.float32).max:.2g}"
    return (
        f"{where}: {bad} of {x.size} values are not finite in float32; the first is {value} in row "
        f"{first[0]}, feature {feature} (counted from 0){why}. Remove these rows, or rescale the values."
    )
