"""Data frames: the columns of pandas, polars, pyarrow and AnnData, with the rules of tables in files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from numbers import Integral, Real
from typing import Any, Final

import numpy as np

from aaeframe.configuration.reading import ReadOptions
from aaeframe.data import classes
from aaeframe.data.raw import RawData, RawPart
from aaeframe.data.readers.table_columns import EXACT, Coded, Columns, advice, check_names, find_roles, inexact
from aaeframe.data.readers.table_dialect import WHOLE, Marks, is_missing
from aaeframe.data.readers.table_result import Result
from aaeframe.data.sources import SparseRows, foreign
from aaeframe.errors import DataError
from aaeframe.storage.text import plural

LARGEST: Final = int(np.finfo(np.float64).max)
"""The largest whole number that is a float."""

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
    where = name_of(frame)
    if where != "anndata.AnnData":
        held, index = columns_of(frame)
        return from_columns(held, options, where, index)
    from scipy.sparse import issparse

    frame = frame.to_memory() if frame.isbacked else frame
    return annotated(frame, SparseRows(frame.X) if issparse(frame.X) else np.asarray(frame.X), options, where)


def name_of(frame: Any) -> str:
    """The name of a data frame in messages, as in "pandas.DataFrame"."""
    return ".".join(_kind(frame) or ())


def columns_of(frame: Any) -> tuple[dict[str, np.ndarray], list[str] | None]:
    """The columns (N,) of a data frame by name, and the names of its rows, if an index of pandas gives some."""
    (library, kind), where = _kind(frame) or ("", ""), name_of(frame)
    if kind == "LazyFrame":
        with foreign(where):
            frame = frame.collect()
    names = [str(name).strip() for name in (frame.column_names if library == "pyarrow" else frame.columns)]
    check_names(names, where)
    if library == "pandas":
        columns = [_of_pandas(frame.iloc[:, i]) for i in range(len(names))]
        index = None if type(frame.index).__name__ == "RangeIndex" else texts_of(frame.index, where)
        return dict(zip(names, columns, strict=True)), index
    columns = list(map(_of_polars, frame.iter_columns()) if library == "polars" else map(_of_arrow, frame.columns))
    return dict(zip(names, columns, strict=True)), None


def from_columns(
    held: Mapping[str, np.ndarray], options: ReadOptions, where: str, index: list[str] | None = None
) -> RawData:
    """Columns (N,) by name, with the rules of a table in a file. `index` names the rows if no column does."""
    names = list(held)
    lengths = {len(values) for values in held.values()}
    if len(lengths) != 1 or lengths == {0}:
        raise DataError(f"{where}: the table is empty, or its columns are of different lengths: {sorted(lengths)}.")
    roles = find_roles(names, options, where)
    if wide := [it for i, it in enumerate(names) if i not in roles.dropped and _is_nested(held[it])]:
        raise DataError(
            f"{where}: column {wide[0]!r} holds more than one value a row. Give a column for each, or leave it out by "
            f'data.drop=["{wide[0]}"].'
        )
    numbers = roles.numbers
    texts = [names[i] for i in numbers if _is_text(held[names[i]])]
    x = np.empty((lengths.pop(), len(numbers)))
    for k, i in enumerate(numbers):
        x[:, k] = numbers_of(names[i], held[names[i]], texts, where)
    coded = {i: Coded(roles, i, options, where, texts_of(held[names[i]], where)) for i in roles.categories}
    labels = () if roles.label is None else texts_of(held[names[roles.label]], where)
    columns = Columns(
        roles,
        Marks("."),
        frozenset(),
        texts,
        where,
        Coded(roles, roles.label, options, where, labels),
        coded,
        values=memoryview(x.reshape(-1)),  # type: ignore[arg-type] # read as a buffer, as an array would be
        ids=(index or []) if roles.ids is None else texts_of(held[names[roles.ids]], where),
        rows=len(x),
    )
    return Result(columns, options, has_header=True, find_labels=True, said=()).raw()


def _kind(values: Any) -> tuple[str, str] | None:
    kinds = ((kind.__module__.partition(".")[0], kind.__qualname__) for kind in type(values).__mro__)
    return next((kind for kind in kinds if kind in FRAMES), None)


def _of_pandas(series: Any) -> np.ndarray:
    """A column as numpy has it. Whole numbers beside missing values stay objects: as floats, large ones would merge."""
    if isinstance(series.dtype, np.dtype):
        kind = "datetime64[ns]" if series.dtype.kind == "M" else None
        return np.asarray(series.to_numpy(dtype=kind))
    kind = getattr(series.dtype, "kind", "O")
    if kind == "f":
        return np.asarray(series.to_numpy(dtype=np.float64, na_value=np.nan))
    if kind in "iub" and not series.isna().any():
        return np.asarray(series.to_numpy(dtype={"i": np.int64, "u": np.uint64, "b": np.bool_}[kind]))
    if kind == "M":
        return np.asarray(series.to_numpy(dtype="datetime64[ns]"))
    return np.asarray(series.astype(object).to_numpy())


def _of_polars(series: Any) -> np.ndarray:
    """A column as numpy has it; whole numbers as for pandas."""
    if series.dtype.is_nested() or (series.dtype.is_integer() and (series.null_count() or "128" in str(series.dtype))):
        return as_objects(series.to_list())
    return np.asarray(series.to_numpy())


def _of_arrow(column: Any) -> np.ndarray:
    """A column as numpy has it; whole numbers as for pandas."""
    import pyarrow.types as kinds

    if kinds.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if column.null_count and (kinds.is_integer(column.type) or kinds.is_boolean(column.type)):
        return as_objects(column.to_pylist())
    chunked = hasattr(column, "chunks")
    return np.asarray(column.to_numpy() if chunked else column.to_numpy(zero_copy_only=False))


def as_objects(values: Sequence[Any]) -> np.ndarray:
    """Values (N,) as objects of Python, even if they are sequences."""
    found = np.empty(len(values), dtype=object)
    found[:] = values
    return found


def _is_nested(values: np.ndarray) -> bool:
    return values.ndim != 1 or (
        values.dtype.kind == "O" and any(isinstance(it, list | tuple | dict | np.ndarray) for it in values)
    )


def annotated(data: Any, x: Any, options: ReadOptions, where: str) -> RawData:
    """The rows x of an AnnData with its names of rows and columns, and the labels of a column of `obs`."""
    for name in ("ids", "drop", "categories", "missing"):
        if getattr(options, name) is not None:
            raise DataError(f"{where}: data.{name} is not used; select rows and columns of the AnnData.")
    names, columns = [str(name) for name in data.var_names], [str(name) for name in data.obs.columns]
    check_names(names, where)
    place = find_roles(columns, options, f"{where}.obs").label
    labels = None if place is None else np.array(texts_of(_of_pandas(data.obs.iloc[:, place]), where))
    others = len(columns) - (place is not None)
    said = (f"{plural(others, 'column')} of obs",) if others else ()
    part = RawPart(x, labels, np.asarray(data.obs_names).astype(str))
    source = None if place is None else f"column {columns[place]!r} of obs"
    return RawData([part], columns=tuple(names), labels_from=source, passed_over=said)


def numbers_of(name: str, values: np.ndarray, texts: Sequence[str], where: str) -> np.ndarray:
    """A column as float64, NaN where there is no value. DataError for what is not a number."""
    if values.dtype.kind in "bf":
        return values.astype(np.float64)
    if values.dtype.kind in "Mm":
        cell = "2020-01-01" if values.dtype.kind == "M" else "00:00"
        raise DataError(f"{where}: column {name!r} holds dates or times ({values.dtype}). {advice(name, cell)}")
    check_exact(name, values, where)
    if values.dtype.kind in "iu":
        return values.astype(np.float64)
    found = np.empty(len(values))
    for row, value in enumerate(values):
        number = _number(value)
        if number is None:
            others = [it for it in texts if it != name]
            also = f" Columns of texts, too: {', '.join(map(repr, others))}." if others else ""
            raise DataError(
                f"{where}: row {row}, column {name!r} holds {str(value)[:40]!r}, which is not a number. "
                f"{advice(name, str(value), in_file=False)}{also}"
            )
        found[row] = number
    return found


def check_exact(name: str, values: np.ndarray, where: str) -> None:
    """DataError for a whole number among the integers, texts or objects (N,) of a column that a float would change."""
    if values.dtype.kind in "iu":
        values = values[(values >= EXACT) | (values <= -EXACT)]
    for value in (int(it) for it in values if _is_whole(it)):
        if abs(value) >= EXACT and (abs(value) > LARGEST or int(float(value)) != value):
            raise DataError(f"{where}: {inexact(name, str(value))}")


def _is_whole(value: Any) -> bool:
    """Whether an object of Python is a whole number, or the text of one."""
    if isinstance(value, str):
        return len(value) < 400 and WHOLE.fullmatch(value.strip()) is not None
    if isinstance(value, Decimal):
        # adjusted: its exponent, as a whole number of thousands of digits has no text
        return value.is_finite() and value.adjusted() < 400 and value == value.to_integral_value()
    return isinstance(value, Integral)


def _number(value: Any) -> float | None:
    if classes.is_missing(value):
        return float("nan")
    if isinstance(value, Integral) and abs(int(value)) > LARGEST:
        return float("inf")
    if isinstance(value, Real | np.bool_ | Decimal):
        return float(value)
    text = str(value)
    return float("nan") if is_missing(text) else Marks(".").number(text)


def _is_text(values: np.ndarray) -> bool:
    return values.dtype.kind in "OU" and any(_number(value) is None for value in values)


def texts_of(values: Any, where: str) -> list[str]:
    """Each value as a text, empty where there is none. Whole numbers that a missing value made real are whole again.

    DataError for bytes that are not in UTF-8.
    """
    found = np.asarray(values)
    if found.dtype.kind == "f":
        known = found[~np.isnan(found)].astype(np.float64)
        if len(known) and (known == np.rint(known)).all() and (np.abs(known) < EXACT).all():
            return ["" if value != value else str(int(value)) for value in found]
    if found.dtype.kind in "Mm":
        return ["" if absent else str(it) for it, absent in zip(found, np.isnat(found), strict=True)]
    try:
        return ["" if classes.is_missing(it) else it.decode() if isinstance(it, bytes) else str(it) for it in found]
    except UnicodeDecodeError as error:
        raise DataError(f"{where}: holds texts that are not in UTF-8: {error}. Give them as str.") from error
