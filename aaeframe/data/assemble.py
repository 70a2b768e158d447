"""From arrays to a data set, with the checks that every source passes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from aaeframe.configuration.reading import ReadOptions, read_options
from aaeframe.data import splits
from aaeframe.data.classes import as_classes
from aaeframe.data.columns import Known, aligned, colored, column_means, filled
from aaeframe.data.dataset import AllRows, Dataset, Reading, Split, joined, joined_labels, joined_stored
from aaeframe.data.layout import as_rows, settle
from aaeframe.data.raw import Channels, RawData, RawPart, text_width
from aaeframe.data.readers.objects import as_array, as_labels
from aaeframe.data.readers.table_columns import check_names
from aaeframe.data.scaling import fit
from aaeframe.data.sources import Remaining, StoredRows
from aaeframe.data.statistics import check_values
from aaeframe.data.survey import surveyed
from aaeframe.errors import DataError
from aaeframe.protocols import DataSpec

DEFAULTS = ReadOptions()


def from_arrays(
    x: np.ndarray,
    labels: np.ndarray | None = None,
    *,
    ids: np.ndarray | None = None,
    columns: Sequence[str] | None = None,
    name: str = "arrays",
    **given: Any,
) -> Dataset:
    """A data set of your own arrays, split 80 : 10 : 10 by a fixed permutation.

    Args:
        x: a table (N, D), images, series or volumes: see `aaeframe.data.layout.as_rows`. It is not copied if it is
            contiguous and uint8, float32 or float64, and stays in its file if it is a `numpy.memmap`.
        labels: (N,) integers or texts; -1, NaN, None or an empty text in rows without a label.
        ids: (N,) the names of the rows.
        columns: the names of the D features.
        name: what the data is called in messages.
        given: the options `channels`, `held_out` and `scale`: see `aaeframe.configuration.reading.ReadOptions`.

    Raises:
        DataError: the arrays are empty, not finite, not of these shapes, or the labels or columns do not fit.
    """
    options = read_options(**given)
    if unused := options.given.keys() - {"channels", "held_out", "scale"}:
        raise DataError(f"{name}: {', '.join(sorted(unused))} is not used for arrays; leave it out.")
    rows = as_array(x, name)
    if columns is not None:
        check_names(columns, name)
        if rows.shape[1:] != (len(columns),):
            raise DataError(f"{name}: {len(columns)} columns are named, and rows have the shape {rows.shape[1:]}.")
    part = RawPart(rows, None if labels is None else as_labels(labels, name), None if ids is None else np.asarray(ids))
    return assemble(name, RawData([part], columns=None if columns is None else tuple(columns)), options)


def assemble(
    name: str,
    raw: RawData,
    options: ReadOptions = DEFAULTS,
    *,
    spec: DataSpec | None = None,
    known: Known | None = None,
) -> Dataset:
    """Check the parts and cut them into the three splits.

    Without cuts, one part is split by `splits.shuffled`. Two parts are training and test (`splits.shuffled_train`),
    three are training, validation and test. `spec` overrides what would be derived from the values; `known` is as for
    `gather`.
    """
    raw = _as_known(name, raw, options, known)
    if options.missing == "mean":
        if options.scale not in (None, "standardize"):
            raise DataError(
                f"{name}: data.missing=mean goes with data.scale=standardize alone, whose means are kept for new rows; "
                f"found data.scale={options.scale}. Leave data.scale out, or set data.missing=drop."
            )
        part, rows = _cuts(name, raw, options.held_out).train
        raw = filled(raw, column_means(raw.parts[part].x[rows], name) if known is None else known.means, name)
    whole, class_names = _checked(name, raw, options)
    cuts = _cuts(name, raw, options.held_out)
    stored, scale = raw.parts[cuts.train[0]].x.dtype, "as the named data set has it"
    three = _three(whole, cuts, name, options)
    if three[0].is_stored:
        three = surveyed(name, three, raw.columns)
    if spec is None:
        spec, scale = fit(three[0], stored, options.scale, name)
    if spec.mean.dtype == torch.float32:
        three = (
            [_as_single(it) for it in three]
            if three[0].is_stored
            else _three([_as_single(it) for it in whole], cuts, name, options)
        )
    train, validation, test = three
    return Dataset(
        name,
        spec,
        train,
        validation,
        test,
        None if class_names is None else len(class_names),
        class_names,
        raw.columns,
        Reading(stored.name, scale, raw.labels_from, raw.passed_over, raw.dropped),
    )


def gather(
    name: str, raw: RawData, options: ReadOptions = DEFAULTS, known: Known | None = None, *, check: bool = True
) -> AllRows:
    """Check the parts as `assemble` does and concatenate them.

    With `known`, the columns of a table are brought to those of a training, and its means are filled in for missing
    values, if the options ask for it. By default the means are of the rows themselves. Without `check`, values are not
    read, and may be not finite.
    """
    raw = _as_known(name, raw, options, known)
    if options.missing == "mean":
        raw = filled(raw, column_means(raw.parts[0].x, name) if known is None else known.means, name)
    whole, class_names = _checked(name, raw, options, check=check)
    labels, ids = joined_labels(whole), joined([it.ids for it in whole])
    if len(whole) == 1:
        rows = whole[0]
    elif whole[0].is_stored:
        rows = joined_stored(whole, labels, ids)
    else:
        rows = Split(np.concatenate([it.data for it in whole]), None, labels, ids)
    reading = Reading(raw.parts[0].x.dtype.name, "", raw.labels_from, raw.passed_over, raw.dropped)
    return AllRows(rows, class_names, raw.columns, reading)


def _checked(
    name: str, raw: RawData, options: ReadOptions, *, check: bool = True
) -> tuple[list[Split], tuple[str, ...] | None]:
    """All rows of each part, checked, and the class names."""
    channels: Channels | None = options.channels or raw.channels
    arrays = [as_rows(part.x, name, channels) for part in raw.parts]
    _check_alike(arrays, name)
    for x in arrays if check else ():
        check_values(x, name)
    sizes = [len(x) for x in arrays]
    labels, names = as_classes([part.labels for part in raw.parts], sizes, name)
    names = _known_names(names, raw.class_names)
    ids = [_checked_ids(part.ids, size, name) for part, size in zip(raw.parts, sizes, strict=True)]
    return [Split(settle(x), None, y, i) for x, y, i in zip(arrays, labels, ids, strict=True)], names


def _known_names(values: tuple[str, ...] | None, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """The names of the classes that occur, by their values, if these are positions in the known names."""
    if values is None or names is None:
        return values
    fits = all(value.isdecimal() and int(value) < len(names) for value in values)
    return tuple(names[int(value)] for value in values) if fits else values


def _as_known(name: str, raw: RawData, options: ReadOptions, known: Known | None) -> RawData:
    """Columns of a table in the order of those that are known, if any are; gray images as colors if those are."""
    if known is None:
        return raw
    if known.columns is None:
        return colored(raw, known.shape)
    return aligned(raw, known.columns, options.categories or (), name)


def _checked_ids(ids: np.ndarray | None, rows: int, name: str) -> np.ndarray | None:
    """The names of rows as texts, without spaces at their ends.

    DataError unless there is one for each row, a text or a whole number.
    """
    if ids is None:
        return None
    if ids.shape != (rows,) or ids.dtype.kind not in "iuU":
        raise DataError(
            f"{name}: the ids have the shape {ids.shape} and the type {ids.dtype}; {rows} rows need ({rows},) texts or "
            "whole numbers."
        )
    if ids.dtype.kind in "iu":
        return ids.astype(f"U{text_width(ids)}")
    return np.char.strip(ids.astype(str))


def _cuts(name: str, raw: RawData, held_out: tuple[int, int] | None) -> splits.Cuts:
    sizes = [len(part.x) for part in raw.parts]
    if held_out is not None:
        if raw.cuts is not None or len(sizes) > 1:
            raise DataError(f"{name}: has its own split into training and test rows; leave held_out out.")
        return splits.shuffled(sizes[0], name, held_out)
    return raw.cuts or _default_cuts(sizes, name)


def _three(whole: Sequence[Split], cuts: splits.Cuts, name: str, options: ReadOptions) -> list[Split]:
    """The rows for training, for validation and for the test."""
    if whole[0].is_stored:
        cuts = _in_little_memory(cuts, [len(it) for it in whole])
    empty = options.held_out is not None
    train = _rows(whole, cuts.train, name)
    return [train, *(_rows(whole, it, name, may_be_empty=empty) for it in (cuts.validation, cuts.test))]


def _in_little_memory(cuts: splits.Cuts, sizes: Sequence[int]) -> splits.Cuts:
    """Cuts that hold many training rows by the rows that are held out, whose numbers take less memory."""
    (part, rows), count = cuts.train, sizes[cuts.train[0]]
    if not isinstance(rows, np.ndarray):
        return cuts
    small = np.int32 if count < 2**31 else np.int64
    held = [it for place, it in (cuts.validation, cuts.test) if place == part and isinstance(it, np.ndarray)]
    remaining = Remaining(count, np.sort(np.concatenate([*held, np.empty(0, small)])).astype(small))

    def smaller(cut: splits.PartRows) -> splits.PartRows:
        return (cut[0], cut[1].astype(small)) if isinstance(cut[1], np.ndarray) else cut

    return splits.Cuts((part, remaining), smaller(cuts.validation), smaller(cuts.test))


def _rows(whole: Sequence[Split], cut: splits.PartRows, name: str, *, may_be_empty: bool = False) -> Split:
    """The rows of one split. DataError if it is empty and may not be."""
    part, rows = whole[cut[0]], cut[1]
    at = rows if isinstance(rows, slice) else np.asarray(rows)
    labels, ids = (None if it is None else it[at] for it in (part.labels, part.ids))
    data, index = _selected(part.data, rows)
    split = Split(data, index, labels, ids, part.is_single)
    if len(split) == 0 and not may_be_empty:
        raise DataError(f"{name}: a split is empty. Training, validation and test need at least one row each.")
    return split


def _selected(data: Any, rows: slice | np.ndarray | Remaining) -> tuple[Any, np.ndarray | Remaining | None]:
    """Data, and the rows of it that are used, if not all."""
    if not isinstance(rows, slice):
        return data, rows
    if isinstance(data, StoredRows):
        return data, None if rows == splits.ALL else np.arange(*rows.indices(len(data)))
    return data[rows], None


def _as_single(whole: Split) -> Split:
    """The rows as float32 if they are float64; those of a file when they are read."""
    if whole.dtype != np.float64:
        return whole
    return replace(whole, is_single=True) if whole.is_mapped else replace(whole, data=whole.data.astype(np.float32))


def _default_cuts(sizes: Sequence[int], name: str) -> splits.Cuts:
    if len(sizes) == 1:
        return splits.shuffled(sizes[0], name)
    if len(sizes) == 2:
        return splits.shuffled_train(sizes[0], name)
    return splits.Cuts((0, splits.ALL), (1, splits.ALL), (2, splits.ALL))


def _check_alike(arrays: Sequence[np.ndarray], name: str) -> None:
    """DataError unless all rows have one shape and one kind of numbers, so that they can be of one scale."""
    first = arrays[0]
    for other in arrays[1:]:
        if other.shape[1:] != first.shape[1:] or _kind(other) != _kind(first):
            raise DataError(
                f"{name}: the parts differ: rows of {first.shape[1:]} {first.dtype} and of {other.shape[1:]} "
                f"{other.dtype}. Training, validation and test rows must have one shape and type."
            )


def _kind(x: np.ndarray) -> str:
    """The types that numbers of one scale may have: uint8, any others in tables; bool, integers or reals in images."""
    if x.dtype == np.uint8:
        return "uint8"
    return "number" if x.ndim == 2 else {"u": "integer", "i": "integer"}.get(x.dtype.kind, x.dtype.kind)
