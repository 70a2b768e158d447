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


def check_finite(x: np.ndarray, where: str) -> Range:
    """The range of the values (N, *shape), after checking that each is finite as float32.

    Raises:
        DataError: some are not; the message says how many, and where the first is.
    """
    if x.dtype.kind != "f":
        return _integer_range(x)
    low, high, bad, first = np.inf, -np.inf, 0, None
    for start, piece in _pieces(x):
        finite = np.isfinite(_single(piece))
        if finite.all():
            low, high = min(low, float(piece.min())), max(high, float(piece.max()))
            continue
        places = np.argwhere(~finite)
        first = first or (start + int(places[0][0]), *map(int, places[0][1:]))
        bad += len(places)
    if first is not None:
        raise DataError(_not_finite(x, bad, first, where))
    return Range(low, high)


def moments(split: Split) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (*shape) of each feature, float64, by Chan's update over pieces.

    A feature that is constant within float32's precision gets the deviation 1.
    """
    count, mean, squares = 0, np.zeros(split.shape), np.zeros(split.shape)
    step = _rows_per_piece(split.shape)
    for start in range(0, len(split), step):
        piece = split.rows(np.arange(start, min(start + step, len(split)))).astype(np.float64)
        n, center = len(piece), piece.mean(axis=0)
        shift = center - mean
        squares += np.square(piece - center).sum(axis=0) + np.square(shift) * (count * n / (count + n))
        mean += shift * (n / (count + n))
        count += n
    std = np.sqrt(squares / count)
    constant = std <= np.maximum(np.finfo(np.float32).eps * np.abs(mean), np.finfo(np.float32).tiny)
    return mean, np.where(constant, 1.0, std)


def _integer_range(x: np.ndarray) -> Range:
    if x.dtype == np.uint8:
        return Range(0.0, 255.0)  # of the type, not of the values: the scale of pixels is fixed
    pieces = [(piece.min(), piece.max()) for _, piece in _pieces(x)]
    return Range(float(min(low for low, _ in pieces)), float(max(high for _, high in pieces)))


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
