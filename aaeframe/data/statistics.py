"""Range, moments and finiteness of data, computed in pieces, because data may be larger than memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch

from aaeframe.data.dataset import Split
from aaeframe.data.readers.table_columns import EXACT
from aaeframe.data.sources import StoredRows
from aaeframe.errors import DataError
from aaeframe.storage.text import plural

PIECE_BYTES = 32 * 2**20
"""The size of one piece in bytes."""


MEAN_ROWS: Final = 4096
MEAN_BYTES = 2**26
"""The number of rows whose sum is added to a mean at a time, or fewer if they are large: their bytes in float64."""

MOST_COLUMNS: Final = 12
"""The number of columns with empty cells that a message names."""


@dataclass(frozen=True)
class Range:
    """The smallest and the largest value of an array."""

    low: float
    high: float
    whole: bool
    """Whether all values are whole numbers."""


def check_values(x: np.ndarray, where: str) -> None:
    """Check that each value (N, *shape) is finite as float32, and that float64 holds each whole number.

    Raises:
        DataError: some are not; the message says how many, and where the first is.
    """
    if not may_be_wrong(x.dtype) or isinstance(x, StoredRows):  # those are checked when they are surveyed, or used
        return
    wrong, step = Wrong(where), rows_per_piece(x.shape[1:])
    for start in range(0, len(x), step):
        wrong.look(np.asarray(x[start : start + step]), start)
    wrong.refuse(x.size)


def may_be_wrong(dtype: np.dtype) -> bool:
    """Whether values of a type may be not finite, or be whole numbers that float64 would change."""
    return dtype.kind == "f" or (dtype.kind in "iu" and dtype.itemsize == 8)


class Wrong:
    """Values that are missing or not finite, counted. `columns` are the names of the features, if they have some."""

    def __init__(self, where: str, columns: Sequence[str] | None = None) -> None:
        self._where, self._columns = where, columns
        self._missing: np.ndarray | None = None
        self._infinite = 0
        self._first: tuple[int, ...] | None = None
        self._value = 0.0

    @property
    def found(self) -> bool:
        """Whether any value is wrong."""
        return self._first is not None

    def look(self, rows: np.ndarray, start: int) -> None:
        """Count in the rows that begin at `start`. DataError for a whole number that float64 would change."""
        if not may_be_wrong(rows.dtype):
            return
        if rows.dtype.kind != "f":
            _refuse_changed(rows, start, self._where)
            return
        wrong = ~np.isfinite(as_single(rows))
        if not wrong.any():
            return
        missing = np.isnan(rows)
        self._missing = missing.sum(0) + (0 if self._missing is None else self._missing)
        self._infinite += int((wrong & ~missing).sum())
        if self._first is None:
            place = tuple(map(int, np.argwhere(wrong)[0]))
            self._first, self._value = (start + place[0], *place[1:]), float(rows[place])

    def refuse(self, size: int) -> None:
        """DataError if any value was wrong."""
        if self._first is None or self._missing is None:
            return
        empty = int(self._missing.sum())
        if self._columns is not None and not self._infinite:
            counts = dict(zip(self._columns, map(int, self._missing), strict=True))
            raise DataError(
                f"{self._where}: {empty_cells(counts)}. Fill them in, leave columns out by data.drop, or set "
                'data.missing="mean" or "drop", for which all rows are read into memory.'
            )
        raise not_finite(self._where, f"{empty + self._infinite} of {size}", self._value, self._first)


def empty_cells(counts: Mapping[str, int]) -> str:
    """The numbers of empty cells by column, in words."""
    some = [f"{name!r} {count}" for name, count in counts.items() if count]
    more = ", ..." if len(some) > MOST_COLUMNS else ""
    return f"{plural(sum(counts.values()), 'empty cell')}: {', '.join(some[:MOST_COLUMNS])}{more}"


def _refuse_changed(rows: np.ndarray, start: int, where: str) -> None:
    """DataError for a whole number in rows, the first of which is `start`, that float64 would change."""
    if int(rows.min(initial=0)) >= -EXACT and int(rows.max(initial=0)) <= EXACT:
        return
    rounded = rows.astype(np.float64)
    beyond = rounded >= float(np.iinfo(rows.dtype).max)  # what the cast back gives for those depends on the processor
    places = np.argwhere(beyond | (np.where(beyond, 0, rounded).astype(rows.dtype) != rows))
    if len(places):
        row, *feature = map(int, places[0])
        raise DataError(
            f"{where}: holds {rows[row, *feature]} in row {start + row}, feature {_feature(feature)} (counted from 0), "
            "which is beyond 2**53, so that numbers near it become one. Subtract the smallest value from all, or leave "
            "the feature out if it names the rows."
        )


def value_range(split: Split, *, whole_of_uint8: bool = True) -> Range:
    """The range of all values of a split.

    Without `whole_of_uint8`, only as many of these are read as show that they reach the upper half of the type.
    """
    if (known := split.known) is not None:
        return Range(float(known.low.min()), float(known.high.max()), known.whole)
    low, high, whole = np.inf, -np.inf, True
    for piece in split.chunks(rows_per_piece(split.shape)):
        low, high = min(low, float(piece.min())), max(high, float(piece.max()))
        whole = whole and (piece.dtype == np.uint8 or bool((piece == np.rint(piece)).all()))
        if piece.dtype == np.uint8 and high > 127 and not whole_of_uint8:
            break
    return Range(low, high, whole)


def moments(split: Split) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (*shape) of each feature, float64, by Chan's update over pieces.

    A feature that is constant within the precision of the rows' type gets the deviation 1.
    """
    if split.known is not None:
        return split.known.moments
    found = Moments(split.shape)
    for piece in split.chunks(rows_per_piece(split.shape)):
        found.add(piece)
    return found.result(split.dtype)


class Moments:
    """Mean, squared deviations, and the ends of each feature, of rows that are added a piece at a time.

    The last bits depend on the pieces, which are of `rows_per_piece` rows, but the last.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.count, self.mean, self._squares = 0, np.zeros(shape), np.zeros(shape)
        self.low, self.high = np.full(shape, np.inf), np.full(shape, -np.inf)

    def add(self, rows: np.ndarray) -> None:
        """Add rows (n, *shape)."""
        piece = rows.astype(np.float64)
        self.low, self.high = np.minimum(self.low, piece.min(axis=0)), np.maximum(self.high, piece.max(axis=0))
        n, center = len(piece), piece.mean(axis=0)
        shift = center - self.mean
        squares = np.square(np.subtract(piece, center, out=piece), out=piece).sum(axis=0)
        self._squares += squares + np.square(shift) * (self.count * n / (self.count + n))
        self.mean += shift * (n / (self.count + n))
        self.count += n

    def result(self, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of each feature, of rows of this type."""
        std = np.sqrt(self._squares / self.count)
        precision = np.finfo(np.float64 if dtype == np.float64 else np.float32).eps
        # the deviation of equal values may be above 0 by rounding
        flat = std <= np.maximum(precision * np.abs(self.mean), np.finfo(np.float32).tiny)
        return self.mean, np.where((self.low == self.high) | flat, 1.0, std)


def mean(split: Split) -> np.ndarray:
    """The mean row (*shape) of a split, float64: the sum of all rows over their number."""
    if split.known is not None:
        return split.known.means[str(split.dtype)]
    total = Total(split.shape)
    for piece in split.chunks(mean_rows(split.shape)):
        total.add(piece)
    return total.value / len(split)


class Total:
    """The sum (*shape) of rows that are added a piece of `mean_rows` at a time, float64."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.value = np.zeros(shape)

    def add(self, rows: np.ndarray) -> None:
        """Add rows (n, *shape)."""
        self.value += torch.from_numpy(rows).double().sum(0).numpy()


def mean_rows(shape: tuple[int, ...]) -> int:
    """The number of rows whose sum is added to a mean at a time."""
    return max(1, min(MEAN_ROWS, MEAN_BYTES // (8 * int(np.prod(shape)))))


def rows_per_piece(shape: tuple[int, ...]) -> int:
    """The number of rows in a piece of `PIECE_BYTES` of float64."""
    return max(1, PIECE_BYTES // (8 * int(np.prod(shape))))


def as_single(piece: np.ndarray) -> np.ndarray:
    """Values as float32, infinite where they are beyond it."""
    # overflow gives an infinity, and an invalid value NaN: both are found as not finite
    with np.errstate(over="ignore", invalid="ignore"):
        return piece.astype(np.float32, copy=False)


def not_finite(where: str, many: str, value: float, place: tuple[int, ...]) -> DataError:
    """The error for values that are not finite in float32.

    `many` is their count as text, such as "2 of 30"; `place` is the row of the first and its position in the row.
    """
    why = "" if not np.isfinite(value) else f", which is beyond float32's {np.finfo(np.float32).max:.2g}"
    return DataError(
        f"{where}: {many} values are not finite in float32; the first is {value} in row {place[0]}, feature "
        f"{_feature(place[1:])} (counted from 0){why}. Remove these rows, or rescale the values."
    )


def _feature(place: Sequence[int]) -> int | tuple[int, ...]:
    """A position in a row, for a message."""
    return place[0] if len(place) == 1 else tuple(place)
