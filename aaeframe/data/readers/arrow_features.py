"""The features of tables in Parquet and Arrow files, from columns to rows, a chunk at a time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow.types as kinds
from pyarrow import compute

from aaeframe.data.readers.arrow_files import TableFiles
from aaeframe.data.readers.folders import fingerprint
from aaeframe.data.readers.frames import as_objects, check_exact
from aaeframe.data.readers.table_columns import EXACT
from aaeframe.data.sources import grouped
from aaeframe.errors import DataError

BLOCK: Final = 512
"""The number of rows that are turned from columns to rows at a time: few enough for the processor's cache."""


class Features:
    """The columns of a table in files, or its one column of lists, as a source: (N, D)."""

    def __init__(self, files: TableFiles, names: Sequence[str], *, lists: bool = False) -> None:
        self._files, self._names, self._lists = files, list(names), lists
        self.files = len(files.files)
        types = dict(zip(files.schema.names, files.schema.types, strict=True))
        kinds = [types[self._names[0]].value_type] if lists else [types[name] for name in names]
        self.dtype = np.result_type(*map(_numpy_type, kinds)) if kinds else np.dtype(np.float64)
        width = self._width(types[self._names[0]]) if lists else len(names)
        row_bytes = max(1, width * self.dtype.itemsize)
        places = [(number, *it) for number, sizes in enumerate(files.sizes) for it in grouped(sizes, row_bytes)]
        rows = [int(files.sizes[number][first:stop].sum()) for number, first, stop in places]
        self._places = [place for place, size in zip(places, rows, strict=True) if size]
        self.bounds = np.cumsum([0, *filter(None, rows)])
        self.shape = (int(self.bounds[-1]), width)

    @property
    def fingerprint(self) -> str:
        """A digest of the files as they are now, and of the columns."""
        return f"{fingerprint(self._files.files)} {self._names}"

    def read(self, chunk: int) -> np.ndarray:
        """The rows of a chunk. DataError for an empty cell where the type has no mark for it, and for uneven lists."""
        number, first, stop = self._places[chunk]
        table, where = self._files.read(number, first, stop, self._names), self._files.files[number]
        arrays = [it.combine_chunks() for it in table.columns]
        if self._lists:
            return self._flattened(arrays[0], where, int(self.bounds[chunk]))
        columns = [_numbers(it, name, where) for it, name in zip(arrays, self._names, strict=True)]
        found = np.empty((table.num_rows, len(columns)), self.dtype)
        for start in range(0, len(found), BLOCK):
            block = slice(start, start + BLOCK)
            np.stack([it[block] for it in columns], axis=1, out=found[block])
        return found

    def _width(self, kind: Any) -> int:
        if kinds.is_fixed_size_list(kind):
            return int(kind.list_size)
        first = next(it for it in self._files.tables(self._names) if it.num_rows).column(0)[0].as_py()
        return len(first or ())

    def _flattened(self, lists: Any, where: Path, start: int) -> np.ndarray:
        """Lists of numbers as rows. DataError if one is of another length than the first."""
        lengths = compute.list_value_length(lists).fill_null(0).to_numpy()
        if (wrong := np.flatnonzero(lengths != self.shape[1])).size:
            raise DataError(
                f"{where}: column {self._names[0]!r} holds {lengths[wrong[0]]} numbers in row {start + wrong[0]}, and "
                f"{self.shape[1]} in the first. All lists need one length."
            )
        values = _numbers(lists.flatten(), self._names[0], where)
        return values.astype(self.dtype, copy=False).reshape(-1, self.shape[1])


def is_number(kind: Any) -> bool:
    """Whether a type of Arrow is one of numbers."""
    kind = kind.value_type if kinds.is_dictionary(kind) else kind
    tests = (kinds.is_integer, kinds.is_floating, kinds.is_boolean, kinds.is_decimal, kinds.is_null)
    return any(test(kind) for test in tests)


def is_list(kind: Any) -> bool:
    """Whether a type of Arrow is one of lists of numbers."""
    lists = kinds.is_fixed_size_list(kind) or kinds.is_list(kind) or kinds.is_large_list(kind)
    return lists and is_number(kind.value_type)


def _numpy_type(kind: Any) -> np.dtype:
    kind = kind.value_type if kinds.is_dictionary(kind) else kind
    if kinds.is_decimal(kind) or kinds.is_null(kind):
        return np.dtype(np.float64)
    return np.dtype(kind.to_pandas_dtype())


def _numbers(column: Any, name: str, where: Path) -> np.ndarray:
    """A column as numbers (n,). DataError for an empty cell among integers, and for one that a float would change."""
    kind = column.type
    if kinds.is_dictionary(kind):
        column = column.dictionary_decode()
    if kinds.is_decimal(column.type) or kinds.is_null(column.type):
        stored, column = column, column.cast("float64")
        rows = np.flatnonzero(np.abs(column.to_numpy(zero_copy_only=False)) >= EXACT)
        check_exact(name, as_objects(stored.take(rows).to_pylist()), str(where))
    if column.null_count and not kinds.is_floating(column.type):
        raise DataError(
            f"{where}: column {name!r}, of type {kind}, has empty cells. Fill them in, write the column as floats, "
            f'give data.missing="mean" or "drop", or leave it out by data.drop=["{name}"].'
        )
    values = np.asarray(column.to_numpy(zero_copy_only=False))
    if values.dtype.kind in "iu" and values.dtype.itemsize == 8:
        check_exact(name, values, str(where))
    return values
