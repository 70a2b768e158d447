"""Data frames: the columns of pandas, polars, pyarrow and AnnData, with the rules of tables in files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from numbers import Real
from typing import Any, Final

import numpy as np

from aaeframe.configuration.reading import ReadOptions
from aaeframe.data.classes import MOST_CLASSES
from aaeframe.data.raw import RawData, RawPart
from aaeframe.data.readers.table_columns import EXACT, Coded, Columns, Roles, advice, find_roles
from aaeframe.data.readers.table_dialect import LABELS, Marks, is_missing
from aaeframe.data.readers.table_result import Result, no_classes
from aaeframe.data.readers.tables import check_names
from aaeframe.data.sparse import SparseRows
from aaeframe.errors import DataError, MissingName
from aaeframe.storage.text import plural

USES: Final = frozenset({"label_key", "ids", "drop", "categories", "missing"})
"""The options that are used."""

FRAMES: Final = frozenset(
    {
        ("pandas", "DataFrame"),
        ("polars", "DataFrame"),
        ("polars", "LazyFrame"),
        ("pyarrow", "Table"),
        ("pyarrow", "RecordBatch"),
        ("anndata", "AnnData"),
    }
)
"""The library and the name of each kind, by which they are known without an import."""


def is_frame(values: Any) -> bool:
    """Whether an object is a data frame, or of a class derived from one."""
    return _kind(values) is not None


def read(frame: Any, options: ReadOptions) -> RawData:
    """A data frame of numbers (N, D), its labels, and what the options make of other columns: see `tables.read`.

    The index of pandas names the rows, unless it counts them. An AnnData has rows `X`, ids `obs_names`, columns
    `var_names` and the labels of a column of `obs`.

    DataError for a column of texts or dates without a role, and for whatever is wrong with a table.
    """
    library, kind = _kind(frame) or ("", "")
    where = f"{library}.{kind}"
    if kind == "AnnData":
        return _read_anndata(frame, options, where)
    if kind == "LazyFrame":
        frame = frame.collect()
    names = [str(name) for name in (frame.column_names if kind in ("Table", "RecordBatch") else frame.columns)]
    check_names(names, where)
    if library == "pandas":
        columns: dict[str, Any] = {name: frame.iloc[:, i] for i, name in enumerate(names)}
        found = from_columns({name: _of_pandas(it) for name, it in columns.items()}, options, where)
        return found if options.ids is not None else _with_index(found, frame.index, options)
    if library == "polars":
        return from_columns({name: frame.get_column(name).to_numpy() for name in names}, options, where)
    return from_columns({name: _of_arrow(frame.column(name)) for name in names}, options, where)


def from_columns(held: Mapping[str, np.ndarray], options: ReadOptions, where: str) -> RawData:
    """Columns (N,) by name, with the rules of a table in a file."""
    names = list(held)
    lengths = {len(values) for values in held.values()}
    if len(lengths) != 1 or lengths == {0}:
        raise DataError(f"{where}: the table is empty, or its columns are of different lengths: {sorted(lengths)}.")
    roles = find_roles(names, options, where)
    numbers = roles.numbers
    texts = [names[i] for i in numbers if held[names[i]].dtype.kind in "OU" and _is_text(held[names[i]])]
    x = np.empty((lengths.pop(), len(numbers)))
    for k, i in enumerate(numbers):
        x[:, k] = _numbers(names[i], held[names[i]], texts, where)
    ids: list[str] = [] if roles.ids is None else _texts(held[names[roles.ids]])
    columns = Columns(
        roles,
        Marks("."),
        frozenset(),
        texts,
        where,
        _coded([] if roles.label is None else _texts(held[names[roles.label]]), roles, roles.label, where),
        {i: _coded(_texts(held[names[i]]), roles, i, where) for i in roles.categories},
        values=memoryview(x.reshape(-1)),  # type: ignore[arg-type] # read as a buffer, as an array would be
        ids=ids,
        rows=len(x),
    )
    return Result(columns, options, has_header=True, find_labels=True, said=()).raw()


def _kind(values: Any) -> tuple[str, str] | None:
    kinds = ((kind.__module__.partition(".")[0], kind.__qualname__) for kind in type(values).__mro__)
    return next((kind for kind in kinds if kind in FRAMES), None)


def _of_pandas(series: Any) -> np.ndarray:
    kind = getattr(series.dtype, "kind", "O")
    if kind in "biuf" and not isinstance(series.dtype, np.dtype):  # with missing values of their own
        return np.asarray(series.to_numpy(dtype=np.float64, na_value=np.nan))
    if kind == "M":
        return np.asarray(series.to_numpy(dtype="datetime64[ns]"))
    return np.asarray(series.to_numpy() if isinstance(series.dtype, np.dtype) else series.astype(object).to_numpy())


def _of_arrow(column: Any) -> np.ndarray:
    if str(column.type).startswith("dictionary"):
        column = column.cast(column.type.value_type)
    if str(column.type) == "bool" and column.null_count:
        return np.array(column.to_pylist(), dtype=object)
    chunked = hasattr(column, "chunks")
    return np.asarray(column.to_numpy() if chunked else column.to_numpy(zero_copy_only=False))


def _with_index(raw: RawData, index: Any, options: ReadOptions) -> RawData:
    """The index as names of the rows, unless it counts them or rows with empty cells are left out."""
    if type(index).__name__ == "RangeIndex" or len(raw.parts[0].x) != len(index):
        return raw
    ids = np.array([str(it) for it in index])
    return replace(raw, parts=[replace(raw.parts[0], ids=ids)])


def _read_anndata(data: Any, options: ReadOptions, where: str) -> RawData:
    from scipy.sparse import issparse

    if data.isbacked:
        data = data.to_memory()
    asked = options.label_key
    usual = [name for name in data.obs.columns if str(name).lower() in LABELS]
    label = asked if asked is not None else (usual[0] if len(usual) == 1 else "")
    if label and label not in data.obs.columns:
        known = ", ".join(map(str, data.obs.columns))
        raise MissingName(f"{where}: there is no column {label!r} in obs. The columns are {known}.", "label_key", label)
    for name in ("ids", "drop", "categories", "missing"):
        if getattr(options, name) is not None:
            raise DataError(f"{where}: data.{name} is not used; select rows and columns of the AnnData.")
    x: Any = SparseRows(data.X) if issparse(data.X) else np.asarray(data.X)
    labels = np.array(_texts(_of_pandas(data.obs[label]))) if label else None
    others = len(data.obs.columns) - bool(label)
    said = (f"{plural(others, 'column')} of obs",) if others else ()
    part = RawPart(x, labels, np.asarray(data.obs_names).astype(str))
    names = tuple(map(str, data.var_names))
    return RawData([part], columns=names, labels_from=f"column {label!r} of obs" if label else None, passed_over=said)


def _numbers(name: str, values: np.ndarray, texts: Sequence[str], where: str) -> np.ndarray:
    """A column as float64, NaN where there is no value. DataError for what is not a number."""
    if values.dtype.kind in "bf":
        return values.astype(np.float64)
    if values.dtype.kind in "iu":
        if len(values) and max(abs(int(values.min())), abs(int(values.max()))) >= EXACT:
            raise DataError(
                f"{where}: column {name!r} holds whole numbers beyond 2**53, so that numbers near them become one. If "
                f"it names the rows: data.ids={name}, or data.drop=[{name!r}]."
            )
        return values.astype(np.float64)
    if values.dtype.kind in "Mm":
        cell = "2020-01-01" if values.dtype.kind == "M" else "00:00"
        raise DataError(f"{where}: column {name!r} holds dates or times ({values.dtype}). {advice(name, cell)}")
    found = np.empty(len(values))
    for row, value in enumerate(values):
        number = _number(value)
        if number is None:
            others = [it for it in texts if it != name]
            also = f" Columns of texts, too: {', '.join(map(repr, others))}." if others else ""
            raise DataError(
                f"{where}: row {row}, column {name!r} holds {str(value)[:40]!r}, which is not a number. "
                f"{advice(name, str(value))}{also}"
            )
        found[row] = number
    return found


def _number(value: Any) -> float | None:
    if _is_absent(value):
        return float("nan")
    if isinstance(value, Real | np.bool_) or type(value).__name__ == "Decimal":
        return float(value)
    text = str(value)
    return float("nan") if is_missing(text) else Marks(".").number(text)


def _is_text(values: np.ndarray) -> bool:
    return any(_number(value) is None for value in values)


def _is_absent(value: Any) -> bool:
    return (
        value is None or type(value).__name__ in ("NAType", "NaTType") or (isinstance(value, float) and value != value)
    )


def _texts(values: Iterable[Any]) -> list[str]:
    """Each value as a text, empty where there is none. Whole numbers that a missing value made real are whole again."""
    found = np.asarray(values)
    if found.dtype.kind == "f":
        known = found[~np.isnan(found)]
        if len(known) and (known == np.rint(known)).all() and (np.abs(known) < EXACT).all():
            return ["" if value != value else str(int(value)) for value in found]
    return ["" if _is_absent(value) else str(value) for value in found]


def _coded(texts: Sequence[str], roles: Roles, place: int | None, where: str) -> Coded:
    name = "" if place is None else roles.names[place]

    def too_many() -> DataError:
        return DataError(
            f"{where}: column {name!r} has more than {MOST_CLASSES} different values; at most so many are classes. "
            f"{no_classes(name, place == roles.label)}"
        )

    coded = Coded(MOST_CLASSES, too_many)
    for text in texts:
        coded.append(text)
    return coded
