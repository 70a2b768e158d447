"""Files of Arrow's family: Parquet, Arrow's own in both forms, and folders of them, read by groups of rows."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import pyarrow
from pyarrow import ipc, memory_map, parquet, types

from aaeframe.data.readers.folders import Unchanged
from aaeframe.errors import AaeframeError, DataError

MOST_OPEN: Final = 4
"""The largest number of files that are open at the same time."""


class TableFile(Protocol):
    """An open file: its schema, its groups of rows, and their columns."""

    schema: Any
    sizes: list[int]
    """The number of rows of each group: row groups of Parquet, record batches of Arrow."""

    def read(self, first: int, stop: int, columns: Sequence[str]) -> Any:
        """The groups from `first` up to `stop` as a pyarrow.Table of these columns."""


@contextmanager
def readable(path: Path, what: str = "") -> Iterator[None]:
    """Turn an error of pyarrow or of the system into a DataError that names the file."""
    try:
        yield
    except AaeframeError:
        raise
    except (pyarrow.ArrowException, OSError, KeyError, IndexError, ValueError) as error:
        raise DataError(
            f"{path}: {what or 'the file'} cannot be read: {str(error).splitlines()[0] if str(error) else error!r}. "
            "If the file is incomplete or has changed, restore it."
        ) from error


class TableFiles:
    """Files of one schema. Few are open at a time."""

    def __init__(self, files: Sequence[Path]) -> None:
        self.files = files
        self._open: OrderedDict[int, TableFile] = OrderedDict()
        self._unchanged = Unchanged(files)
        self.sizes: list[np.ndarray] = []
        self.schema: Any = None
        for i, path in enumerate(files):
            file = self.file(i)
            self.sizes.append(np.asarray(file.sizes, np.int64))
            self.schema = self.schema or file.schema
            _check_same(self.schema, file.schema, files[0], path)

    @property
    def count(self) -> int:
        """The number of rows of all files."""
        return sum(int(it.sum()) for it in self.sizes)

    def file(self, number: int) -> TableFile:
        """A file, open. DataError if it has changed since the beginning."""
        path = self.files[number]
        with readable(path):
            self._unchanged.check(number)
            if number not in self._open:
                self._open[number] = opened(path)
        self._open.move_to_end(number)
        if len(self._open) > MOST_OPEN:
            self._open.popitem(last=False)
        return self._open[number]

    def read(self, number: int, first: int, stop: int, columns: Sequence[str]) -> Any:
        """Groups of one file as a pyarrow.Table."""
        groups = f"row group {first}" if stop == first + 1 else f"row groups {first} to {stop - 1}"
        with readable(self.files[number], groups):
            return self.file(number).read(first, stop, columns)

    def tables(self, columns: Sequence[str]) -> Iterator[Any]:
        """All rows of some columns in their order, a group at a time."""
        for number, sizes in enumerate(self.sizes):
            for group in range(len(sizes)):
                yield self.read(number, group, group + 1, columns)


def _check_same(known: Any, found: Any, first: Path, file: Path) -> None:
    if found.names == known.names and found.types == known.types:
        return
    types = dict(zip(known.names, known.types, strict=True))
    other = dict(zip(found.names, found.types, strict=True))
    names = [name for name in (*types, *other) if types.get(name) != other.get(name)] or found.names
    raise DataError(
        f"{file}: column {names[0]!r} is {other.get(names[0], 'missing')}, and {types.get(names[0], 'missing')} in "
        f"{first.name}. All files need the same columns of the same types, in one order."
    )


def opened(path: Path) -> TableFile:
    """Open a file by its first bytes. DataError if it is of no known form."""
    with path.open("rb") as stream:
        head = stream.read(6)
    if head[:4] == b"PAR1":
        return _Parquet(path)
    if head == b"ARROW1":
        return _Batches(path)
    if head[:4] == b"\xff\xff\xff\xff":
        return _Stream(path)
    old = " It is in Feather's first version." if head[:4] == b"FEA1" else ""
    raise DataError(f"{path}: is neither Parquet nor Arrow by its first bytes.{old} Write it again.")


class _Parquet:
    def __init__(self, path: Path) -> None:
        # The buffer is of one read: the columns of a group come from the disk in few large pieces.
        self._file = parquet.ParquetFile(path, pre_buffer=True)
        self.schema = self._file.schema_arrow
        metadata = self._file.metadata
        self.sizes = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]

    def read(self, first: int, stop: int, columns: Sequence[str]) -> Any:
        return self._file.read_row_groups(range(first, stop), columns=list(columns), use_threads=False)


class _Batches:
    """A file of Arrow with an index of its record batches, as Feather's second version."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.schema = self._opened(None).schema
        counting = self._opened([0] if len(self.schema.names) else None)  # one column, as batches may be packed
        self.sizes = [counting.get_batch(i).num_rows for i in range(counting.num_record_batches)]

    def read(self, first: int, stop: int, columns: Sequence[str]) -> Any:
        reader = self._opened([self.schema.names.index(name) for name in columns])
        return pyarrow.Table.from_batches([reader.get_batch(i) for i in range(first, stop)]).select(list(columns))

    def _opened(self, columns: list[int] | None) -> Any:
        """A reader of the record batches, mapped: pages are freed with the batches."""
        options = ipc.IpcReadOptions(included_fields=columns, use_threads=False)
        return ipc.open_file(memory_map(str(self._path)), options=options)


class _Stream:
    """A stream of Arrow, as the files of a Hugging Face data set: the places of its batches are found once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.sizes: list[int] = []
        self._places: list[int] = []
        with memory_map(str(path)) as file:
            reader = ipc.open_stream(file)
            self.schema = reader.schema
            if any(types.is_dictionary(it) for it in self.schema.types):
                raise DataError(f"{path}: is a stream with dictionaries. Write it as .parquet or .feather.")
            while True:
                place = file.tell()
                try:
                    batch = reader.read_next_batch()
                except StopIteration:
                    break
                self._places.append(place)
                self.sizes.append(batch.num_rows)

    def read(self, first: int, stop: int, columns: Sequence[str]) -> Any:
        batches = []
        for place in self._places[first:stop]:
            file = memory_map(str(self._path))
            file.seek(place)
            batches.append(ipc.read_record_batch(ipc.read_message(file), self.schema))
        return pyarrow.Table.from_batches(batches).select(list(columns))
