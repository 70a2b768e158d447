"""Tables of Parquet and Arrow files, which stay in them: roles of the columns, features by chunks, labels."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from aaeframe.configuration.reading import ReadOptions
from aaeframe.data import kept
from aaeframe.data.classes import MOST_CLASSES
from aaeframe.data.raw import RawData, RawPart
from aaeframe.data.readers import frames
from aaeframe.data.readers.arrow_features import Features, is_list, is_number
from aaeframe.data.readers.arrow_files import SUFFIXES, TableFiles, check_installed, readable
from aaeframe.data.readers.limits import LARGEST, memory
from aaeframe.data.readers.shards import Parts, cuts_of, find_parts, fingerprint
from aaeframe.data.readers.table_columns import Roles, find_roles
from aaeframe.data.readers.table_result import no_classes
from aaeframe.data.readers.tables import check_names
from aaeframe.data.sources import StoredRows
from aaeframe.errors import DataError
from aaeframe.storage.formats import loads_json

USES: Final = frames.USES
"""The options that are used."""

IN_MEMORY: Final = ("categories", "missing")
"""Options for which all rows are read into memory."""

HEAD: Final = 10_000
"""The number of first rows that are read as a table in memory is, so that its rules hold."""

MOST_IDS: Final = 2**28
"""The largest size of the names of rows, in bytes; they are kept in memory."""


def read(path: Path, options: ReadOptions) -> RawData:
    """The rows of a table in files, its labels and ids. See `frames.read` for the columns; the features stay there.

    Features are all columns of numbers, or one column of lists of a fixed length. Their type is the smallest that holds
    every column's. With `categories` or `missing` all rows are read into memory.

    Raises:
        DataError: pyarrow is missing, files differ in their columns, or a column is no number and has no role.
    """
    check_installed(path)
    parts = _data_files(path)
    files = {split: TableFiles(it) for split, it in parts.files.items()}
    first = next(iter(files.values()))
    for other in files.values():
        if other.schema.names != first.schema.names:
            raise DataError(f"{path}: {other.files[0].name} has other columns than {first.files[0].name}.")
    with readable(first.files[0], "the description by pandas"):
        options, said = _with_index(options, first.schema)
    if any(getattr(options, name) is not None for name in IN_MEMORY):
        raw = _in_memory(path, options, files)
        return replace(raw, passed_over=(*parts.passed_over, *said, *raw.passed_over))
    table = _Table(path, options, first)
    stored = [table.stored[name] for name in table.names]
    sources = [Features(it, stored, lists=table.has_lists) for it in files.values()]
    labels, names = _labels(table, list(files.values()))
    ids = [_ids(it, table) for it in files.values()]
    return RawData(
        [RawPart(StoredRows(x), y, i) for x, y, i in zip(sources, labels, ids, strict=True)],
        cuts_of(parts.files, [it.shape[0] for it in sources], str(path)),
        class_names=names,
        columns=None if table.has_lists else table.names,
        labels_from=None if table.label is None else f"column {table.label!r}",
        passed_over=(*parts.passed_over, *said, *table.said),
    )


def _data_files(path: Path) -> Parts:
    """The files with rows. A Hugging Face data set keeps some that have none, and lists the others in their order."""
    parts = find_parts(path, SUFFIXES)
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
    import pyarrow

    given = " and ".join(f"data.{name}" for name in IN_MEMORY if getattr(options, name) is not None)
    if len(files) > 1:
        raise DataError(f"{path}: {given} is for tables without splits of their own. Give {path / 'train'}.")
    (only,) = files.values()
    rows, width = sum(int(sizes.sum()) for sizes in only.sizes), len(only.schema.names)
    size, most = rows * width * 8, min(LARGEST, memory() // 2)
    if size > most:
        raise DataError(
            f"{path}: {given} needs all rows in memory, {size / 2**30:,.1f} GiB; at most {most / 2**30:,.1f} GiB are "
            "read into it. Fill in empty cells, and write categories as columns of 0 and 1, before."
        )
    return _as_frame(pyarrow.concat_tables(only.tables(only.schema.names)), options, str(path))


def _as_frame(table: Any, options: ReadOptions, where: str) -> RawData:
    """A table in memory by the rules of data frames."""
    held, _ = frames.columns_of(table)
    return frames.from_columns(held, options, where)


def _with_index(options: ReadOptions, schema: Any) -> tuple[ReadOptions, list[str]]:
    """The options with the index that pandas wrote as ids, if it is one column, and what is to be said of it."""
    described = schema.pandas_metadata
    index = described.get("index_columns") if isinstance(described, dict) else None
    if not isinstance(index, list) or len(index) != 1 or index[0] not in schema.names:
        return options, []  # a range, which is described by a dictionary, or several
    if options.ids is not None or index[0] in (options.drop or ()):
        return options, []
    said = f"column {index[0]!r}, the index of pandas, which names the rows"
    return options.model_copy(update={"ids": index[0]}), [said]


class _Table:
    """The roles of the columns of a table: by its schema, and by its first rows, to which the rules of tables apply."""

    def __init__(self, path: Path, options: ReadOptions, files: TableFiles) -> None:
        self.where, schema = str(path), files.schema
        names = [name.strip() for name in schema.names]
        check_names(names, self.where)
        self.stored = dict(zip(names, schema.names, strict=True))
        """The names in the files, which may have spaces at their ends, by those without."""
        if sum(map(len, files.sizes)) == 0 or not sum(int(it.sum()) for it in files.sizes):
            raise DataError(f"{path}: the table is empty. Give at least one row.")
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
        head = next(it for it in files.tables(schema.names) if it.num_rows).slice(0, HEAD)
        raw = _as_frame(head, options.model_copy(update={"missing": "mean"}), self.where)
        self.names, self.said = raw.columns or (), raw.passed_over
        for name in self.names:
            if not is_number(self.types[name]):
                raise DataError(
                    f"{self.where}: column {name!r} is of type {self.types[name]}, which is no number. "
                    f'Write it as numbers, or leave it out by data.drop=["{name}"].'
                )

    def _lists(self, roles: Roles) -> str | None:
        """The column of lists that holds the features, if there is one. DataError for one among other columns."""
        import pyarrow.types as kinds

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


def _hugging_face_names(schema: Any, label: str | None) -> tuple[str, ...] | None:
    """The names of the classes that a Hugging Face data set tells."""
    try:
        features = loads_json((schema.metadata or {})[b"huggingface"])["info"]["features"]
        names = features[label]["names"]
    except (KeyError, TypeError, ValueError):
        return None
    return tuple(map(str, names)) if isinstance(names, list) and names else None


def _labels(table: _Table, files: Sequence[TableFiles]) -> tuple[list[np.ndarray | None], tuple[str, ...] | None]:
    """The label of each row, and the names of classes if labels are texts: by the rules of tables for each value.

    They are kept in the cache folder.
    """
    if table.label is None:
        return [None] * len(files), None
    key = _labels_key(table, files)
    arrays = kept.read(key)
    if arrays is None:
        labels, names = _read_labels(table, files)
        if any(it is None for it in labels):
            return labels, names
        arrays = {str(i): it.astype(_smallest(it)) for i, it in enumerate(labels) if it is not None}
        arrays["names"] = np.frombuffer(json.dumps(names).encode(), np.uint8)
        if key == _labels_key(table, files):  # else files have changed meanwhile
            kept.write(key, arrays, table.where)
    names = json.loads(arrays["names"].tobytes())
    classes = None if names is None else tuple(names)
    return [arrays[str(i)].astype(np.int64) for i in range(len(files))], classes or table.class_names


def _labels_key(table: _Table, files: Sequence[TableFiles]) -> str:
    text = f"labels 1 {table.label} {[fingerprint(it.files) for it in files]}"
    return hashlib.sha256(text.encode()).hexdigest()


def _smallest(labels: np.ndarray) -> type[np.int16] | type[np.int64]:
    """The smaller of two types of integers that holds all labels."""
    return np.int16 if labels.size and labels.min() >= -(2**15) and labels.max() < 2**15 else np.int64


def _read_labels(table: _Table, files: Sequence[TableFiles]) -> tuple[list[np.ndarray | None], tuple[str, ...] | None]:
    assert table.label is not None
    known: dict[Any, int] = {}
    codes = [_codes(table, it, known) for it in files]
    if not known:
        return [None] * len(files), None
    values = [*known, *([None] if any((it < 0).any() for it in codes) else [])]
    held = {table.label: _objects(values), "(row)": np.zeros(len(values))}
    raw = frames.from_columns(held, ReadOptions(label_key=table.label), table.where)
    classes = np.append(np.asarray(raw.parts[0].labels), -1)
    return [classes[it] for it in codes], raw.class_names


def _objects(values: Sequence[Any]) -> np.ndarray:
    found = np.empty(len(values), object)
    found[:] = values
    return found


def _codes(table: _Table, files: TableFiles, known: dict[Any, int]) -> np.ndarray:
    """The number of each row's label among the different ones, -1 where there is none."""
    found = [np.empty(0, np.int32)]
    for part in files.tables([table.stored[str(table.label)]]):
        coded = part.column(0).combine_chunks()
        coded = coded if "dictionary" in str(coded.type) else coded.dictionary_encode()
        values = [None if it != it else it for it in coded.dictionary.to_pylist()]  # NaN differs from itself
        places = [-1 if it is None else known.setdefault(it, len(known)) for it in values]
        if len(known) > MOST_CLASSES + 1:
            raise DataError(
                f"{table.where}: column {table.label!r} has more than {MOST_CLASSES} different values, too many for "
                f"classes. {no_classes(str(table.label), True)}"
            )
        found.append(np.append(places, -1).astype(np.int32)[coded.indices.fill_null(-1).to_numpy()])
    return np.concatenate(found)


def _ids(files: TableFiles, table: _Table) -> np.ndarray | None:
    """The names of the rows as texts, or as whole numbers. DataError if they are larger than `MOST_IDS`."""
    if table.ids is None:
        return None
    found = []
    for part in files.tables([table.stored[table.ids]]):
        column = part.column(0)
        whole = "int" in str(column.type) and not column.null_count
        values = column.to_numpy() if whole else np.array(frames.texts_of(column.to_pylist(), table.where), np.str_)
        found.append(values)
        if max(it.itemsize for it in found) * sum(map(len, found)) > MOST_IDS:
            raise DataError(
                f"{table.where}: the names of the rows in column {table.ids!r} take more than {MOST_IDS >> 20} MiB of "
                f'memory. Leave them out by data.drop=["{table.ids}"].'
            )
    return np.concatenate(found)
