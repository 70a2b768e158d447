"""Labels and names of rows of tables in Parquet and Arrow files, which are in memory."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow.types as kinds

from aaeframe.configuration.reading import ReadOptions
from aaeframe.data import cache
from aaeframe.data.classes import MOST_CLASSES
from aaeframe.data.raw import text_width
from aaeframe.data.readers import frames
from aaeframe.data.readers.arrow_files import TableFiles
from aaeframe.data.readers.folders import fingerprint
from aaeframe.data.readers.table_columns import no_classes
from aaeframe.errors import DataError

if TYPE_CHECKING:
    from aaeframe.data.readers.arrow import Table

MOST_IDS: Final = 2**28
"""The largest size of the names of rows, in bytes; they are kept in memory."""


def read_labels(table: Table, files: Sequence[TableFiles]) -> tuple[list[np.ndarray | None], tuple[str, ...] | None]:
    """The label of each row, and the names of classes if labels are texts: by the rules of tables for each value.

    They are kept in the cache folder.
    """
    if table.label is None:
        return [None] * len(files), None
    key = _labels_key(table, files)
    arrays = cache.read(key)
    if arrays is None:
        labels, names = _read_labels(table, files)
        if any(it is None for it in labels):
            return labels, names
        arrays = {str(i): it.astype(_smallest(it)) for i, it in enumerate(labels) if it is not None}
        arrays["names"] = np.frombuffer(json.dumps(names).encode(), np.uint8)
        if key == _labels_key(table, files):  # else files have changed meanwhile
            cache.write(key, arrays, table.where)
    names = json.loads(arrays["names"].tobytes())
    classes = None if names is None else tuple(names)
    return [arrays[str(i)].astype(np.int64) for i in range(len(files))], classes or table.class_names


def _labels_key(table: Table, files: Sequence[TableFiles]) -> str:
    text = f"labels 1 {table.label} {[fingerprint(it.files) for it in files]}"
    return hashlib.sha256(text.encode()).hexdigest()


def _smallest(labels: np.ndarray) -> type[np.int16] | type[np.int64]:
    """The smaller of two types of integers that holds all labels."""
    return np.int16 if labels.size and labels.min() >= -(2**15) and labels.max() < 2**15 else np.int64


def _read_labels(table: Table, files: Sequence[TableFiles]) -> tuple[list[np.ndarray | None], tuple[str, ...] | None]:
    assert table.label is not None
    known: dict[Any, int] = {}
    codes = [_codes(table, it, known) for it in files]
    if not known:
        return [None] * len(files), None
    values = [*known, *([None] if any((it < 0).any() for it in codes) else [])]
    held = {table.label: _as_column(values, table.types[table.label]), "(row)": np.zeros(len(values))}
    raw = frames.from_columns(held, ReadOptions(label_key=table.label), table.where)
    classes = np.append(np.asarray(raw.parts[0].labels), -1)
    return [classes[it] for it in codes], raw.class_names


def _as_column(values: Sequence[Any], kind: Any) -> np.ndarray:
    """Values as the column of a table in memory has them: floats with NaN, others as objects."""
    kind = kind.value_type if kinds.is_dictionary(kind) else kind
    if kinds.is_floating(kind):
        return np.array([np.nan if it is None else it for it in values], kind.to_pandas_dtype())
    return frames.as_objects(values)


def _codes(table: Table, files: TableFiles, known: dict[Any, int]) -> np.ndarray:
    """The number of each row's label among the different ones, -1 where there is none."""
    found = [np.empty(0, np.int32)]
    for part in files.tables([table.stored[str(table.label)]]):
        coded = part.column(0).combine_chunks()
        coded = coded if kinds.is_dictionary(coded.type) else coded.dictionary_encode()
        indices = coded.indices.cast("int64").fill_null(-1).to_numpy()
        used = np.unique(indices[indices >= 0])
        places = np.full(len(coded.dictionary) + 1, -1, np.int32)  # the last is of rows without a label
        for at, value in zip(used, coded.dictionary.take(used).to_pylist(), strict=True):
            if value is not None and value == value:  # NaN differs from itself
                places[at] = known.setdefault(value, len(known))
        if len(known) > MOST_CLASSES + 1:
            raise DataError(
                f"{table.where}: column {table.label!r} has more than {MOST_CLASSES} different values, too many for "
                f"classes. {no_classes(str(table.label), True)}"
            )
        found.append(places[indices])
    return np.concatenate(found)


def read_ids(
    table: Table, files: Sequence[TableFiles], index: str | None
) -> tuple[Sequence[np.ndarray | None], tuple[str, ...]]:
    """The names of the rows, and a phrase for `index`, the column that pandas wrote, if no option asks for it.

    DataError if they are larger than `MOST_IDS`; whole numbers of such an index are left out.
    """
    if table.ids is None:
        return [None] * len(files), ()
    found = [_ids_of(it, table) for it in files]
    if all(it is not None for it in found):
        return found, () if index is None else (said_of_index(index, "which names the rows"),)
    if index is not None and kinds.is_integer(table.types[table.ids]):
        return [None] * len(files), (said_of_index(index, f"of more than {MOST_IDS >> 20} MiB"),)
    raise DataError(
        f"{table.where}: the names of the rows in column {table.ids!r} take more than {MOST_IDS >> 20} MiB of "
        f'memory. Leave them out by data.drop=["{table.ids}"].'
    )


def _ids_of(files: TableFiles, table: Table) -> np.ndarray | None:
    """The names of rows as texts, or as whole numbers; None if they are too large as texts."""
    found, width, rows = [], 1, 0
    for part in files.tables([table.stored[str(table.ids)]]):
        column = part.column(0)
        whole = kinds.is_integer(column.type) and not column.null_count
        values = column.to_numpy() if whole else np.array(frames.texts_of(column.to_pylist(), table.where), np.str_)
        found.append(values)
        width, rows = max(width, text_width(values)), rows + len(values)
        if 4 * width * rows > MOST_IDS:
            return None
    return np.concatenate(found)


def said_of_index(name: str, what: str) -> str:
    """A phrase for the column of the index that pandas wrote."""
    return f"column {name!r}, the index of pandas, {what}"
