"""A data set: three splits of rows, with their shape and scale."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from aaeframe.data.sparse import SparseRows
from aaeframe.errors import DataError
from aaeframe.protocols import DataSpec


@dataclass(frozen=True, eq=False)
class Split:
    """Rows of an array, in the user's units, possibly larger than memory.

    `data` is (M, *shape), in memory or a view of a `numpy.memmap`. `index` (N,) selects the rows of the split; None
    selects all. Rows are read only when requested.
    """

    data: np.ndarray
    index: np.ndarray | None = None
    labels: np.ndarray | None = None
    """(N,) int64 class indices, one per row of the split; -1 for a row without a label."""
    ids: np.ndarray | None = None
    """(N,) the names of the rows, texts."""
    is_single: bool = False
    """Whether rows are read as float32 where `dtype` would be float64."""

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
        """Whether rows become dense in memory when requested: those of a mapped file, or of a sparse matrix."""
        return isinstance(self.data, np.memmap | SparseRows)

    def rows(self, index: np.ndarray) -> np.ndarray:
        """Rows (len(index), *shape) at these positions in the split, contiguous and copied from the file."""
        where = index if self.index is None else self.index[index]
        return np.array(self.data[where], dtype=self.dtype, order="C", copy=None, subok=False)

    def take(self, index: np.ndarray) -> Split:
        """A split of the rows at these positions; nothing is read."""
        where = index if self.index is None else self.index[index]
        labels, ids = (None if it is None else it[index] for it in (self.labels, self.ids))
        return replace(self, index=where, labels=labels, ids=ids)

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

        DataError if it is empty.
        """
        if name != "all":
            found = {"train": self.train, "validation": self.validation, "test": self.test}[name]
            if not len(found):
                raise DataError(
                    f"{self.name} has no {name} rows, as data.held_out left none; use rows of another source (--data), "
                    "another split, or train with rows held out"
                )
            return found
        parts = (self.train, self.validation, self.test)
        labels, ids = joined_labels(parts), joined([part.ids for part in parts])
        index = [part.index for part in parts if part.index is not None and part.data is self.train.data]
        if len(index) < len(parts):
            return Split(np.concatenate([part.array() for part in parts]), None, labels, ids)
        rows = np.concatenate(index)
        order = np.argsort(rows)
        sorted_labels, sorted_ids = (None if it is None else it[order] for it in (labels, ids))
        return replace(self.train, index=rows[order], labels=sorted_labels, ids=sorted_ids)


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


def joined(parts: Sequence[np.ndarray | None]) -> np.ndarray | None:
    """The arrays of all parts, one after another; None if a part has none."""
    known = [part for part in parts if part is not None]
    return np.concatenate(known) if len(known) == len(parts) else None
