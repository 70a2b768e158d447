"""A data set: three splits of rows, with their shape and scale."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

import numpy as np

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
    """(N,) int64 class indices, one per row of the split."""

    def __len__(self) -> int:
        return len(self.data) if self.index is None else len(self.index)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one row: images are (channels, height, width), tables (features,)."""
        return self.data.shape[1:]

    @property
    def dtype(self) -> np.dtype:
        """The type of `rows`: uint8 for uint8 data, float32 for all other."""
        return np.dtype(np.uint8 if self.data.dtype == np.uint8 else np.float32)

    @property
    def nbytes(self) -> int:
        """The size of `array()` in bytes."""
        return len(self) * prod(self.shape) * self.dtype.itemsize

    @property
    def is_mapped(self) -> bool:
        """Whether the rows are in a file and read from it when requested."""
        return isinstance(self.data, np.memmap)

    def rows(self, index: np.ndarray) -> np.ndarray:
        """Rows (len(index), *shape) at these positions in the split, contiguous and copied from the file."""
        where = index if self.index is None else self.index[index]
        return np.array(self.data[where], dtype=self.dtype, order="C", copy=None, subok=False)

    def take(self, index: np.ndarray) -> Split:
        """A split of the rows at these positions; nothing is read."""
        where = index if self.index is None else self.index[index]
        return Split(self.data, where, None if self.labels is None else self.labels[index])

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

    def split(self, name: str) -> Split:
        """The split "train", "validation", "test", or "all": every row once, in the order of the file, if any."""
        if name != "all":
            return {"train": self.train, "validation": self.validation, "test": self.test}[name]
        parts = (self.train, self.validation, self.test)
        known = [part.labels for part in parts if part.labels is not None]
        labels = np.concatenate(known) if len(known) == len(parts) else None
        index = [part.index for part in parts if part.index is not None and part.data is self.train.data]
        if len(index) < len(parts):
            return Split(np.concatenate([part.array() for part in parts]), None, labels)
        order = np.argsort(np.concatenate(index))
        return Split(self.train.data, np.concatenate(index)[order], None if labels is None else labels[order])
