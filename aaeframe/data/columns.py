"""New rows brought to those of a training: the columns of a table, its empty cells, the channels of gray images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from aaeframe.data.raw import RawData
from aaeframe.data.sources import SparseRows, StoredRows
from aaeframe.errors import DataError
from aaeframe.storage.text import plural


@dataclass(frozen=True, eq=False)
class Known:
    """The properties of the training's columns that new rows must share."""

    means: np.ndarray
    """(*shape) the mean of each feature over the training rows."""
    columns: Sequence[str] | None
    """The names of a table's features, if it had names."""
    shape: tuple[int, ...] = ()
    """The shape of one row."""


def aligned(raw: RawData, wanted: Sequence[str], categories: Sequence[str], where: str) -> RawData:
    """The columns in this order. A category that does not occur becomes a column of zeros, empty where the cell was.

    DataError for columns that are missing or unknown. Data without names of columns stays as it is.
    """
    if raw.columns is None or list(raw.columns) == list(wanted):
        return raw
    place = {name: index for index, name in enumerate(raw.columns)}
    absent = [name for name in wanted if name not in place]
    missing = [name for name in absent if not any(name.startswith(f"{it}=") for it in categories)]
    extra = [name for name in raw.columns if name not in wanted]
    if missing or extra:
        problems = [
            f"{what}: {', '.join(names[:12])}" for what, names in (("missing", missing), ("unknown", extra)) if names
        ]
        raise DataError(
            f"{where}: the columns are not those of the training; {'; '.join(problems)}. Rename them, or leave out "
            "what is unknown."
        )
    parts = []
    for part in raw.parts:
        if isinstance(part.x, SparseRows | StoredRows):  # of no categories, so that every column is there
            parts.append(replace(part, x=part.x.columns([place[name] for name in wanted])))
            continue
        columns = [
            part.x[:, place[name]] if name in place else _absent(part.x, name, place, categories) for name in wanted
        ]
        parts.append(replace(part, x=np.stack(columns, axis=1)))
    return replace(raw, parts=parts, columns=tuple(wanted))


def _absent(x: np.ndarray, name: str, place: Mapping[str, int], categories: Sequence[str]) -> np.ndarray:
    """The column of a category that does not occur: NaN in rows whose cell is empty, as in the columns next to it."""
    source = next(it for it in categories if name.startswith(f"{it}="))
    others = [index for other, index in place.items() if other.startswith(f"{source}=")]
    empty = np.isnan(x[:, others[0]]) if others else np.ones(len(x), np.bool_)
    return np.where(empty, np.nan, 0.0)


def colored(raw: RawData, shape: tuple[int, ...]) -> RawData:
    """Gray images with their values in each of three channels, if the rows of the training (C, H, W) are colors."""
    if raw.channels != "first" or len(shape) != 3 or shape[0] != 3 or any(part.x.shape[1] != 1 for part in raw.parts):
        return raw
    parts = [replace(part, x=np.repeat(part.x, 3, axis=1)) for part in raw.parts]
    images = sum(len(part.x) for part in parts)
    said = f"lack of color in {plural(images, 'image')}, whose gray is in each channel"
    return replace(raw, parts=parts, passed_over=(*raw.passed_over, said))


def column_means(x: np.ndarray, where: str) -> np.ndarray:
    """The mean of each column (D,) over the rows that have it. DataError if no row has."""
    empty = np.isnan(x).all(axis=0)
    if empty.any():
        raise DataError(
            f"{where}: data.missing=mean fills in the mean of a column, but {int(empty.sum())} columns have no value "
            f"in the training rows; the first is number {int(empty.argmax())} (counted from 0). Leave it out by "
            "data.drop."
        )
    return np.asarray(np.nanmean(x, axis=0, dtype=np.float64))


def filled(raw: RawData, means: np.ndarray, where: str) -> RawData:
    """The data with these values (D,) in empty cells; they are counted. DataError for another number of columns."""
    if any(part.x.shape[1:] != means.shape for part in raw.parts):
        raise DataError(
            f"{where}: has rows of shape {raw.parts[0].x.shape[1:]}, but those of the training have {means.shape}."
        )
    count = sum(int(np.isnan(part.x).sum()) for part in raw.parts)
    if not count:
        return raw
    parts = [replace(part, x=np.where(np.isnan(part.x), means, part.x)) for part in raw.parts]
    said = f"{plural(count, 'empty cell')}, filled in with the training mean of the column"
    return replace(raw, parts=parts, passed_over=(*raw.passed_over, said))
