"""A data set: three splits of rows, with their shape and scale."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any, Final

import numpy as np
import torch

from aaeframe.data.sources import JoinedSource, Remaining, SparseRows, StoredRows
from aaeframe.errors import DataError
from aaeframe.protocols import DataSpec


@dataclass(frozen=True, eq=False)
class KnownStatistics:
    """Numbers of a split that were computed in one pass over its source: see `aaeframe.data.survey`."""

    labels: np.ndarray | None
    """The labels of the split that the digests are of."""
    digests: Mapping[str, str]
    """The digest of the split, by the name of the type that its rows are read as."""
    low: np.ndarray
    """(*shape) the least value of each feature."""
    high: np.ndarray
    whole: bool
    """Whether all values are whole numbers."""
    means: Mapping[str, np.ndarray]
    """(*shape) the mean of each feature, the sum of all values over their number, by the same."""
    moments: tuple[np.ndarray, np.ndarray]
    """Mean and standard deviation, (*shape) each: see `aaeframe.data.statistics.moments`."""
    spread: np.ndarray | None
    """The rows at `spread_places`, of the type of the source; None if they are large."""


@dataclass(frozen=True, eq=False)
class Split:
    """Rows of an array, in the user's units, possibly larger than memory.

    `data` is (M, *shape), in memory, a view of a `numpy.memmap`, or in a source. `index` (N,) selects the rows of the
    split; None selects all. Rows are read only when requested.
    """

    data: np.ndarray
    index: np.ndarray | Remaining | None = None
    labels: np.ndarray | None = None
    """(N,) int64 class indices, one per row of the split; -1 for a row without a label."""
    ids: np.ndarray | None = None
    """(N,) the names of the rows, texts."""
    is_single: bool = False
    """Whether rows are read as float32 where `dtype` would be float64."""
    known: KnownStatistics | None = None
    """The statistics of the whole split, if its data are in a source."""

    def __len__(self) -> int:
        return len(self.data) if self.index is None else len(self.index)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one row: images are (channels, height, width), tables (features,)."""
        return self.data.shape[1:]

    @property
    def dtype(self) -> np.dtype:
        """The type of `rows`: uint8, or float32 if that holds every value of the data's type, or else float64."""
        found = row_type(self.data.dtype)
        return np.dtype(np.float32) if self.is_single and found == np.float64 else found

    @property
    def nbytes(self) -> int:
        """The size of `array()` in bytes."""
        return len(self) * prod(self.shape) * self.dtype.itemsize

    @property
    def is_mapped(self) -> bool:
        """Whether rows become dense in memory when requested: of a mapped file, a source, or a sparse matrix."""
        return isinstance(self.data, np.memmap | SparseRows | StoredRows)

    @property
    def is_stored(self) -> bool:
        """Whether the rows are in a source, which is read by chunks."""
        return isinstance(self.data, StoredRows)

    @property
    def chunk_bounds(self) -> np.ndarray:
        """(C + 1,) the positions in the split where the chunks of its source begin, and its length."""
        assert isinstance(self.data, StoredRows)
        if self.index is None:
            return self.data.bounds
        if isinstance(self.index, Remaining):
            return self.index.places(self.data.bounds)
        return np.searchsorted(self.index, self.data.bounds)

    def rows(self, index: np.ndarray) -> np.ndarray:
        """Rows (len(index), *shape) at these positions in the split, contiguous and copied from the file."""
        where = index if self.index is None else self.index[index]
        return np.array(self.data[where], dtype=self.dtype, order="C", copy=None, subok=False)

    def take(self, index: np.ndarray) -> Split:
        """A split of the rows at these positions; nothing is read."""
        where = index if self.index is None else self.index[index]
        labels, ids = (None if it is None else it[index] for it in (self.labels, self.ids))
        return replace(self, index=where, labels=labels, ids=ids, known=None)

    def fill(self, found: np.ndarray, index: np.ndarray) -> None:
        """Write the rows at these positions, which are in a source, into an array (len(index), *shape)."""
        assert isinstance(self.data, StoredRows)
        self.data.fill(found, index if self.index is None else self.index[index])

    def release(self) -> None:
        """Free what reading has left in memory, if the rows are in a source."""
        if isinstance(self.data, StoredRows):
            self.data.release()

    def held(self) -> Split:
        """The same rows in memory, if they are in a source: for a few rows that are read in any order."""
        return Split(self.array(), None, self.labels, self.ids) if self.is_stored else self

    def spread(self) -> np.ndarray:
        """The rows at `spread_places(len(self))`."""
        if self.known is not None and self.known.spread is not None:
            return self.known.spread.astype(self.dtype)
        return self.rows(spread_places(len(self)))

    @property
    def labeled(self) -> Split:
        """The rows that have a label; nothing is read."""
        if self.labels is None:
            return self.take(np.empty(0, np.int64))
        return self if (self.labels >= 0).all() else self.take(np.flatnonzero(self.labels >= 0))

    def chunks(self, size: int) -> Iterator[np.ndarray]:
        """All rows in order, in chunks of `size`, each read when needed."""
        for start in range(0, len(self), size):
            yield self.rows(np.arange(start, min(start + size, len(self))))

    def array(self) -> np.ndarray:
        """All rows of the split (N, *shape) in memory, writable. May share memory with `data` in memory."""
        if self.index is not None:
            return self.rows(np.arange(len(self)))
        copy = True if self.is_mapped or not self.data.flags.writeable else None
        return np.array(self.data, dtype=self.dtype, order="C", copy=copy, subok=False)


MOST_SPREAD: Final = 1000
"""The number of rows of a split that are spread over it, to stand for all."""


def spread_places(count: int) -> np.ndarray:
    """The positions of at most `MOST_SPREAD` of `count` rows, evenly spread."""
    precision = torch.float64 if count > 2**24 else torch.float32  # which has all whole numbers up to there
    return torch.linspace(0, count - 1, min(MOST_SPREAD, count), dtype=precision).long().numpy()


def row_type(dtype: np.dtype) -> np.dtype:
    """The smallest of uint8, float32 and float64 that holds every value of a type."""
    if dtype == np.uint8:
        return np.dtype(np.uint8)
    return np.dtype(np.float32 if np.can_cast(dtype, np.float32) else np.float64)


@dataclass(frozen=True)
class Reading:
    """The way data was read, in words: for the user to check."""

    dtype: str = ""
    """The type of the training rows as stored."""
    scale: str = ""
    """The scale, and the reason for it."""
    labels: str | None = None
    """The source of the labels."""
    passed_over: tuple[str, ...] = ()
    """A phrase for each kind of thing that was not read, with its number."""
    dropped: int = 0
    """The number of rows left out for their empty cells."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set with its fixed splits."""

    name: str
    spec: DataSpec
    train: Split
    validation: Split
    test: Split
    num_classes: int | None
    """The number of classes; None if no split has labels."""
    class_names: tuple[str, ...] | None
    """The class names by index: the label values of the file, or the names of its subfolders."""
    columns: tuple[str, ...] | None = None
    """The names of a table's features, if it has names."""
    reading: Reading = Reading()

    def split(self, name: str) -> Split:
        """The split "train", "validation", "test", or "all": every row once, in the order of the file, if any.

        DataError if it is empty, or for another name.
        """
        if name != "all":
            splits = {"train": self.train, "validation": self.validation, "test": self.test}
            if name not in splits:
                raise DataError(f"there is no split {name!r}; there are {', '.join(splits)} and all")
            found = splits[name]
            if not len(found):
                raise DataError(
                    f"{self.name} has no {name} rows, as data.held_out left none; use rows of another source (--data), "
                    "another split, or train with rows held out"
                )
            return found
        parts = (self.train, self.validation, self.test)
        labels, ids = joined_labels(parts), joined([part.ids for part in parts])
        index = [part.index for part in parts if part.index is not None and part.data is self.train.data]
        if len(index) < len(parts) and self.train.is_stored:
            return joined_stored(parts, labels, ids)
        if len(index) < len(parts):
            return Split(np.concatenate([part.array() for part in parts]), None, labels, ids)
        rows = np.concatenate([np.asarray(it) for it in index])
        order = np.argsort(rows)
        sorted_labels, sorted_ids = (None if it is None else it[order] for it in (labels, ids))
        return replace(self.train, index=rows[order], labels=sorted_labels, ids=sorted_ids, known=None)


@dataclass(frozen=True, eq=False)
class AllRows:
    """All rows of a source, without splits."""

    rows: Split
    class_names: tuple[str, ...] | None = None
    columns: tuple[str, ...] | None = None
    reading: Reading = Reading()


def joined_labels(parts: Sequence[Split]) -> np.ndarray | None:
    """The labels of all parts, one after another; -1 for parts without labels, if any part has some."""
    if all(part.labels is None for part in parts):
        return None
    return np.concatenate([np.full(len(it), -1) if it.labels is None else it.labels for it in parts])


def joined_stored(parts: Sequence[Split], labels: np.ndarray | None, ids: np.ndarray | None) -> Split:
    """The rows of parts whose data are in sources, one part after another; nothing is read."""
    data: dict[int, Any] = {id(part.data): part.data for part in parts}
    starts = dict(zip(data, np.cumsum([0, *map(len, data.values())])[:-1], strict=True))
    index = [
        np.asarray(np.arange(len(it.data)) if it.index is None else it.index) + starts[id(it.data)] for it in parts
    ]
    whole: Any = StoredRows(JoinedSource(list(data.values())))
    return Split(whole, np.concatenate(index), labels, ids, parts[0].is_single)


def joined(parts: Sequence[np.ndarray | None]) -> np.ndarray | None:
    """The arrays of all parts, one after another; None if a part has none."""
    known = [part for part in parts if part is not None]
    return np.concatenate(known) if len(known) == len(parts) else None
