"""Rows that become arrays when they are read: of sources, which are files or objects, and of sparse matrices."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, Protocol, TypeAlias, runtime_checkable

import numpy as np

from aaeframe.errors import AaeframeError, DataError

CHUNK_BYTES: Final = 2**23
"""The least size of a chunk, in bytes: smaller row groups and parts of a file are read together."""

View: TypeAlias = Callable[[np.ndarray], np.ndarray]
"""A function of rows (n, ...) to rows (n, ...) of another shape, for any n."""


@runtime_checkable
class RowSource(Protocol):
    """Rows (N, ...) addressed by their numbers. A chunk is rows that are read together, such as a row group."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape (N, ...) of all rows."""

    @property
    def dtype(self) -> np.dtype:
        """The type of the values."""

    @property
    def bounds(self) -> Sequence[int] | np.ndarray:
        """(C + 1,) rising from 0 to N: chunk c holds the rows bounds[c] up to bounds[c + 1]."""

    @property
    def fingerprint(self) -> str | None:
        """A text that changes when the rows do, by which their statistics are kept; None: they are not kept."""

    def read(self, chunk: int) -> np.ndarray:
        """The rows (n, ...) of one chunk. Calls come from one thread at a time."""


class StoredRows:
    """The rows (N, ...) of a source, which stay there. Indexing by an array or a slice reads them."""

    def __init__(
        self, source: RowSource, view: View | None = None, *, shared: _LastChunk | None = None, how: str = ""
    ) -> None:
        self._chunks = shared or _LastChunk(source)
        self._view, self._how = view, how
        self.source = source
        self.files: int | None = getattr(source, "files", None)
        """The number of files that the rows are in, if the source says it."""
        self.dtype = np.dtype(source.dtype).newbyteorder("=")
        self.bounds = np.asarray(source.bounds, np.int64)
        _check_bounds(self.bounds, int(source.shape[0]), type(source).__name__)
        one = np.empty((1, *source.shape[1:]), self.dtype)
        row = (one if view is None else view(one)).shape[1:]
        self.shape: tuple[int, ...] = (int(source.shape[0]), *map(int, row))
        self.ndim = len(self.shape)
        self.size = int(np.prod(self.shape))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> np.ndarray:
        rows = np.arange(*index.indices(len(self))) if isinstance(index, slice) else np.asarray(index)
        found = np.empty((len(rows), *self.shape[1:]), self.dtype)
        self.fill(found, rows)
        return found

    def fill(self, found: np.ndarray, rows: np.ndarray) -> None:
        """Write the rows of these numbers into an array (n, *shape), of any type."""
        chunk = np.searchsorted(self.bounds, rows, side="right") - 1
        order = np.argsort(chunk, kind="stable")
        for at in np.split(order, np.flatnonzero(np.diff(chunk[order])) + 1):
            if not len(at):
                continue
            number = int(chunk[at[0]])
            values, places = self.chunk(number), rows[at] - self.bounds[number]
            if len(at) == len(rows) and values.dtype == found.dtype:
                np.take(values, places, axis=0, out=found, mode="clip")  # without a copy, as places are in range
            else:
                found[at] = values[places]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype)

    def chunk(self, number: int) -> np.ndarray:
        """The rows of one chunk (n, ...)."""
        rows = self._chunks.read(number)
        return rows if self._view is None else self._view(rows)

    @property
    def fingerprint(self) -> str | None:
        """A text that changes when the rows do, or the way in which they are viewed."""
        own = self.source.fingerprint
        return None if own is None else f"{own}{self._how}"

    def viewed(self, view: View, how: str) -> StoredRows:
        """The rows as a function shows them; `how` identifies the function."""
        before = self._view
        both = view if before is None else lambda rows: view(before(rows))
        return StoredRows(self.source, both, shared=self._chunks, how=f"{self._how} {how}")

    def columns(self, places: list[int]) -> StoredRows:
        """The rows with the columns at these places alone."""
        return self.viewed(lambda rows: rows[:, places], f"columns {places}")

    def release(self) -> None:
        """Free the memory of the chunk that was read last."""
        self._chunks.release()


class SparseRows:
    """The rows of a scipy sparse matrix (N, D). Indexing by an array or a slice gives dense rows.

    A batch is dense, the whole is not.
    """

    def __init__(self, matrix: Any) -> None:
        self._matrix = matrix.tocsr()
        self.shape: tuple[int, ...] = tuple(self._matrix.shape)
        self.dtype = np.dtype(self._matrix.dtype)
        self.ndim = len(self.shape)
        self.size = int(np.prod(self.shape))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> np.ndarray:
        return np.asarray(self._matrix[index].toarray())

    def columns(self, places: list[int]) -> SparseRows:
        """The rows with the columns at these places alone."""
        return SparseRows(self._matrix[:, places])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self._matrix.toarray(), dtype)


@contextmanager
def foreign(where: str) -> Iterator[None]:
    """Turn whatever somebody else's object raises into a DataError that names it."""
    try:
        yield
    except AaeframeError:
        raise
    except Exception as error:
        raise DataError(f"{where}: cannot be read: {type(error).__name__}: {error}.") from error


def _check_bounds(bounds: np.ndarray, count: int, name: str) -> None:
    """DataError unless the bounds rise from 0 to the number of rows."""
    if bounds.ndim != 1 or len(bounds) < 2 or bounds[0] != 0 or bounds[-1] != count or (np.diff(bounds) <= 0).any():
        raise DataError(
            f"{name}: has {count} rows, and bounds {bounds.tolist()[:4]}... Bounds rise from 0 to the number of rows, "
            "and chunk c holds the rows from bounds[c] to bounds[c + 1]."
        )


def _check_type(found: np.dtype, declared: np.dtype, name: str) -> None:
    """DataError if the declared type does not hold each value of another; a float may be rounded."""
    if not np.can_cast(found, declared, "safe") and not found.kind == declared.kind == "f":
        raise DataError(
            f"{name} is of type {found}, and the source declares {declared}, which would change values. Declare the "
            "type of the rows."
        )


class _LastChunk:
    """Reads chunks one at a time, and keeps the last: rows in their order ask for it again and again."""

    def __init__(self, source: RowSource) -> None:
        self._source = source
        self._lock = threading.Lock()
        self._last: tuple[int, np.ndarray] | None = None

    def read(self, number: int) -> np.ndarray:
        with self._lock:
            if self._last is None or self._last[0] != number:
                self._last = None
                name = f"{type(self._source).__name__}: chunk {number}"
                with foreign(name):
                    rows = np.asarray(self._source.read(number))
                first, stop = (int(it) for it in self._source.bounds[number : number + 2])
                if rows.shape != (stop - first, *self._source.shape[1:]):
                    raise DataError(
                        f"{name} has the shape {rows.shape}; its rows from "
                        f"{first} to {stop} need {(stop - first, *self._source.shape[1:])}."
                    )
                _check_type(rows.dtype, np.dtype(self._source.dtype), name)
                self._last = number, rows
            return self._last[1]

    def release(self) -> None:
        with self._lock:
            self._last = None


class JoinedSource:
    """The rows of several sources, one after another."""

    def __init__(self, sources: Sequence[StoredRows]) -> None:
        self._sources = sources
        starts = np.cumsum([0, *map(len, sources)])
        parts = [it.bounds[:-1] + start for it, start in zip(sources, starts[:-1], strict=True)]
        self.bounds = np.concatenate([*parts, starts[-1:]])
        self._first = np.cumsum([0, *(len(it) for it in parts)])
        self.shape = (int(starts[-1]), *sources[0].shape[1:])
        self.dtype = np.result_type(*(it.dtype for it in sources))
        self.fingerprint = None

    def read(self, chunk: int) -> np.ndarray:
        """The rows of one chunk."""
        part = int(np.searchsorted(self._first, chunk, side="right")) - 1
        return self._sources[part].chunk(chunk - int(self._first[part]))


class Remaining:
    """The numbers from 0 to `count` - 1 that are not held out, rising, in the memory of those that are."""

    def __init__(self, count: int, held: np.ndarray) -> None:
        self._count = count - len(held)
        self._below = held - np.arange(len(held), dtype=held.dtype)
        """The number of remaining numbers below each held one."""

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: Any) -> np.ndarray:
        at = np.arange(*index.indices(len(self))) if isinstance(index, slice) else np.asarray(index)
        return np.asarray(at + np.searchsorted(self._below, at, side="right"))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype)

    def places(self, numbers: np.ndarray) -> np.ndarray:
        """The number of remaining numbers below each of these, which rise."""
        held = self._below + np.arange(len(self._below))
        return np.asarray(numbers - np.searchsorted(held, numbers))


def grouped(sizes: Sequence[int] | np.ndarray, row_bytes: int) -> Iterator[tuple[int, int]]:
    """Consecutive pieces of a file, given their numbers of rows, in groups (first, stop) of `CHUNK_BYTES` or more."""
    first, rows = 0, 0
    for piece, size in enumerate(sizes):
        rows += int(size)
        if rows * row_bytes >= CHUNK_BYTES or piece == len(sizes) - 1:
            yield first, piece + 1
            first, rows = piece + 1, 0
