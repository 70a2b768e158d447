"""Tables of Parquet and Arrow files, which stay in them: roles of the columns, features by chunks, labels."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pyarrow
import pyarrow.types as kinds

from aaeframe.configuration.reading import ReadOptions
from aaeframe.data import splits
from aaeframe.data.raw import RawData, RawPart
from aaeframe.data.readers import frames
from aaeframe.data.readers.arrow_features import Features, is_list, is_number
from aaeframe.data.readers.arrow_files import TableFiles, readable
from aaeframe.data.readers.arrow_labels import read_ids, read_labels, said_of_index
from aaeframe.data.readers.folders import ARROW_SUFFIXES, Parts, find_parts
from aaeframe.data.readers.limits import LARGEST, memory
from aaeframe.data.readers.table_columns import Roles, check_names, find_roles
from aaeframe.data.readers.table_dialect import shown
from aaeframe.data.sources import StoredRows
from aaeframe.errors import DataError
from aaeframe.storage.formats import loads_json

IN_MEMORY: Final = ("categories", "missing")
"""Options for which all rows are read into memory."""

LOGS: Final = ("_delta_log", ".hoodie")
"""The folders in which Delta Lake and Hudi say which files of a table count."""

HEAD: Final = 10_000
"""The number of first rows that are read as a table in memory is, so that its rules hold."""

HEAD_BYTES: Final = 2**26
"""The largest size of these rows, in bytes of float64."""


def read(path: Path, options: ReadOptions) -> RawData:
    """The rows of a table in files, its labels and ids. See `frames.read` for the columns; the features stay there.

    Features are all columns of numbers, or one column of lists of a fixed length. Their type is the smallest that holds
    every column's. With `categories` or `missing` all rows are read into memory.

    Raises:
        DataError: files differ in their columns, or a column is no number and has no role.
    """
    parts = _data_files(path)
    files = {split: TableFiles(it) for split, it in parts.files.items()}
    first = next(iter(files.values()))
    for split, other in files.items():
        if not other.count:
            what = "the table is empty" if split is None else f"the {split} rows ({other.files[0].name}) are none"
            raise DataError(f"{path}: {what}. Give at least one row.")
        if other.schema.names != first.schema.names:
            raise DataError(f"{path}: {other.files[0].name} has other columns than {first.files[0].name}.")
    with readable(first.files[0], "the description by pandas"):
        options, index, beside = _with_index(options, first.schema, str(path))
    if any(getattr(options, name) is not None for name in IN_MEMORY):
        raw = _in_memory(path, options, files)
        named = [] if index is None else [said_of_index(index, "which names the rows")]
        return replace(raw, passed_over=(*parts.passed_over, *named, *beside, *raw.passed_over))
    table = Table(path, options, first)
    stored = [table.stored[name] for name in table.names]
    sources = [Features(it, stored, lists=table.has_lists) for it in files.values()]
    labels, names = read_labels(table, list(files.values()))
    ids, said = read_ids(table, list(files.values()), index)
    return RawData(
        [RawPart(StoredRows(x), y, i) for x, y, i in zip(sources, labels, ids, strict=True)],
        splits.without_test([*parts.files], [it.shape[0] for it in sources]),
        class_names=names,
        columns=None if table.has_lists else table.names,
        labels_from=None if table.label is None else f"column {table.label!r}",
        passed_over=(*parts.passed_over, *said, *beside, *table.said),
    )


def _data_files(path: Path) -> Parts:
    """The files with rows. A Hugging Face data set keeps some that have none, and lists the others in their order.

    DataError for a folder with a log: some of its files may hold deleted rows.
    """
    if log := next((name for name in LOGS if (path / name).is_dir()), None):
        raise DataError(
            f"{path}: is a table with a log ({log}), which says which files count, and is not read. Write the rows of "
            "the table to .parquet files by the program that keeps it."
        )
    parts = find_parts(path, ARROW_SUFFIXES)
    files: dict[str | None, list[Path]] = {}
    for split, found in parts.files.items():
        state = found[0].parent / "state.json"
        if path.is_dir() and state.is_file():
            with readable(state):
                described = loads_json(state.read_text())
            listed = described.get("_data_files") if isinstance(described, dict) else None
            if isinstance(listed, list) and all(isinstance(it, dict) for it in listed):
                by_name = {it.name: it for it in found}
                names = [str(it.get("filename")) for it in listed]
                if missing := [name for name in names if name not in by_name]:
                    raise DataError(f"{state}: names {missing[0]}, which is not there. Restore the file.")
                found = [by_name[name] for name in names] or found
        files[split] = found
    return replace(parts, files=files)


def _in_memory(path: Path, options: ReadOptions, files: dict[str | None, TableFiles]) -> RawData:
    """All rows of a table at once. DataError if there are splits, or more than memory holds."""
    given = " and ".join(f"data.{name}" for name in IN_MEMORY if getattr(options, name) is not None)
    if len(files) > 1:
        raise DataError(f"{path}: {given} is for tables without splits of their own. Give {path / 'train'}.")
    (only,) = files.values()
    size, most = only.count * len(only.schema.names) * 8, min(LARGEST, memory() // 2)
    if size > most:
        raise DataError(
            f"{path}: {given} needs all rows in memory, {size / 2**30:,.1f} GiB; at most {most / 2**30:,.1f} GiB are "
            "read into it. Fill in empty cells, and write categories as columns of 0 and 1, before."
        )
    return _as_frame(_joined(only.tables(only.schema.names)), options, str(path))


def _as_frame(table: Any, options: ReadOptions, where: str) -> RawData:
    """A table in memory by the rules of data frames."""
    held, _ = frames.columns_of(table)
    return frames.from_columns(held, options, where)


def _with_index(options: ReadOptions, schema: Any, where: str) -> tuple[ReadOptions, str | None, tuple[str, ...]]:
    """The options with the index that pandas wrote, its name if it names the rows, and a phrase for what is left out.

    DataError for several columns of an index that no option names: they would be features.
    """
    described = schema.pandas_metadata
    index = described.get("index_columns") if isinstance(described, dict) else None
    asked = {options.label_key, options.ids, *(options.drop or ()), *(options.categories or ())}
    # a range is described by a dictionary
    stored = [it for it in index if it in schema.names] if isinstance(index, list) else []
    left = [it for it in stored if it not in asked]
    if not left:
        return options, None, ()
    if options.ids is None and len(left) == 1:
        return options.model_copy(update={"ids": left[0]}), left[0], ()
    if len(stored) == 1:
        said = said_of_index(left[0], "as data.ids names the rows")
        return options.model_copy(update={"drop": (*(options.drop or ()), *left)}), None, (said,)
    raise DataError(
        f"{where}: the index of pandas has {len(stored)} columns, of which {shown(left)} can name the rows or be "
        f"features. Name one by data.ids={left[0]} and leave others out by data.drop, or write frame.reset_index() if "
        "they are features."
    )


class Table:
    """The roles of the columns of a table: by its schema, and by its first rows, to which the rules of tables apply."""

    def __init__(self, path: Path, options: ReadOptions, files: TableFiles) -> None:
        self.where, schema = str(path), files.schema
        names = [name.strip() for name in schema.names]
        check_names(names, self.where)
        self.stored = dict(zip(names, schema.names, strict=True))
        """The names in the files, which may have spaces at their ends, by those without."""
        self.said: tuple[str, ...] = ()
        roles = find_roles(names, options, self.where)
        self.types = dict(zip(names, schema.types, strict=True))
        self.label = None if roles.label is None else names[roles.label]
        self.ids = None if roles.ids is None else names[roles.ids]
        self.class_names = _hugging_face_names(schema, self.label)
        lists = self._lists(roles)
        self.has_lists = lists is not None
        if lists is not None:
            self.names: tuple[str, ...] = (lists,)
            return
        raw = _as_frame(_head(files), options.model_copy(update={"missing": "mean"}), self.where)
        self.names, self.said = raw.columns or (), raw.passed_over
        for name in self.names:
            if not is_number(self.types[name]):
                raise DataError(
                    f"{self.where}: column {name!r} is of type {self.types[name]}, which is not a number type. "
                    f'Write it as numbers, or leave it out by data.drop=["{name}"].'
                )

    def _lists(self, roles: Roles) -> str | None:
        """The column of lists that holds the features, if there is one. DataError for one among other columns."""
        others = [roles.names[i] for i in roles.numbers]
        lists = [name for name in others if kinds.is_nested(self.types[name])]
        if not lists:
            return None
        name, kind = lists[0], self.types[lists[0]]
        if not is_list(kind):
            raise DataError(
                f"{self.where}: column {name!r} is of type {kind}, which is not read. Give a column for each number, "
                f'or lists of numbers of one length, or leave it out by data.drop=["{name}"].'
            )
        if len(others) > 1:
            rest = ", ".join(f'"{it}"' for it in others if it != name)
            raise DataError(
                f"{self.where}: column {name!r} holds lists, which are the features, and there are other columns. "
                f'Leave them out by data.drop=[{rest}], or the lists by data.drop=["{name}"].'
            )
        return name


def _head(files: TableFiles) -> Any:
    """The first rows of a table: `HEAD` of them, or as many as `HEAD_BYTES` of float64 hold."""
    names, found, rows = files.schema.names, [], 0
    most = max(1, min(HEAD, HEAD_BYTES // (8 * len(names))))
    for table in files.tables(names):
        found.append(table)
        rows += table.num_rows
        if rows >= most:
            break
    return _joined(found).slice(0, most)


def _joined(tables: Iterable[Any]) -> Any:
    """The rows of several tables, whose schemas may differ in metadata."""
    return pyarrow.concat_tables([pyarrow.Table.from_arrays(it.columns, names=it.column_names) for it in tables])


def _hugging_face_names(schema: Any, label: str | None) -> tuple[str, ...] | None:
    """The names of the classes in the description of a Hugging Face data set."""
    try:
        features = loads_json((schema.metadata or {})[b"huggingface"])["info"]["features"]
        names = features[label]["names"]
    except (KeyError, TypeError, ValueError):
        return None
    return tuple(map(str, names)) if isinstance(names, list) and names else None
