"""From arrays to a data set, with the checks that every source passes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from aaeframe.configuration.reading import ReadOptions, read_options
from aaeframe.data import splits
from aaeframe.data.classes import as_classes
from aaeframe.data.dataset import Dataset, Split
from aaeframe.data.layout import as_rows, settle
from aaeframe.data.raw import Channels, RawData, RawPart
from aaeframe.data.scaling import fit
from aaeframe.data.statistics import Range, check_finite
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
        x: a table (N, D) or images (N, H, W), (N, H, W, C) or (N, C, H, W). It is not copied if it is contiguous and
            uint8 or float32, and stays in its file if it is a `numpy.memmap`.
        labels: (N,) integers or texts.
        ids: (N,) the names of the rows.
        columns: the names of the D features.
        name: what the data is called in messages.
        given: the options `channels`, `held_out` and `scale`: see `aaeframe.configuration.reading.ReadOptions`.

    Raises:
        DataError: the arrays are empty, not finite, not of these shapes, or the labels do not fit.
    """
    for array in (x, labels):
        if isinstance(array, np.ma.MaskedArray):
            raise DataError(f"{name}: masked arrays would lose their masks. Give {name} without masked values.")
    options = read_options(**given)
    if unused := options.given.keys() - {"channels", "held_out", "scale"}:
        raise DataError(f"{name}: {', '.join(sorted(unused))} is not used for arrays; leave it out.")
    part = RawPart(
        x if isinstance(x, np.memmap) else np.asarray(x),
        None if labels is None else np.asarray(labels),
        None if ids is None else np.asarray(ids),
    )
    return assemble(name, RawData([part], columns=None if columns is None else tuple(columns)), options)


def assemble(name: str, raw: RawData, options: ReadOptions = DEFAULTS, *, spec: DataSpec | None = None) -> Dataset:
    """Check the parts and cut them into the three splits.

    Without cuts, one part is split by `splits.shuffled`. Two parts are training and test (`splits.shuffled_train`),
    three are training, validation and test. `spec` overrides what would be derived from the values.
    """
    arrays, labels, class_names, values = _checked(name, raw, options)
    cuts = _cuts(name, raw, arrays, options.held_out)
    train, validation, test = (
        _split(arrays[part], labels[part], rows, name) for part, rows in (cuts.train, cuts.validation, cuts.test)
    )
    count = None if class_names is None else len(class_names)
    return Dataset(name, spec or fit(train, values), train, validation, test, count, class_names)


def gather(name: str, raw: RawData, options: ReadOptions = DEFAULTS) -> tuple[Split, tuple[str, ...] | None]:
    """Check the parts as `assemble` does and concatenate them; returns the rows and the class names."""
    arrays, labels, class_names, _ = _checked(name, raw, options)
    known = [part for part in labels if part is not None]
    x = arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
    return Split(x, None, np.concatenate(known) if len(known) == len(arrays) else None), class_names


def _checked(
    name: str, raw: RawData, options: ReadOptions
) -> tuple[list[np.ndarray], list[np.ndarray | None], tuple[str, ...] | None, Range]:
    """The rows and the labels of each part, the class names, and the range of all values."""
    channels: Channels | None = options.channels or raw.channels
    arrays = [as_rows(part.x, name, channels) for part in raw.parts]
    _check_alike(arrays, name)
    ranges = [check_finite(x, name) for x in arrays]
    arrays = [settle(x) for x in arrays]
    labels, names = as_classes([part.labels for part in raw.parts], [len(x) for x in arrays], name)
    if names is not None and raw.class_names is not None and len(names) == len(raw.class_names):
        names = raw.class_names  # known names apply only if the labels have as many classes
    return arrays, labels, names, Range(min(r.low for r in ranges), max(r.high for r in ranges))


def _cuts(name: str, raw: RawData, arrays: Sequence[np.ndarray], held_out: tuple[int, int] | None) -> splits.Cuts:
    if held_out is not None:
        if raw.cuts is not None or len(arrays) > 1:
            raise DataError(f"{name}: has its own split into training and test rows; leave held_out out.")
        return splits.shuffled(len(arrays[0]), name, held_out)
    return raw.cuts or _default_cuts(arrays, name)


def _split(x: np.ndarray, labels: np.ndarray | None, rows: slice | np.ndarray, name: str) -> Split:
    labels = None if labels is None else labels[rows]
    split = Split(x[rows], None, labels) if isinstance(rows, slice) else Split(x, rows, labels)
    if len(split) == 0:
        raise DataError(f"{name}: a split is empty. Training, validation and test need at least one row each.")
    return split


def _default_cuts(arrays: Sequence[np.ndarray], name: str) -> splits.Cuts:
    if len(arrays) == 1:
        return splits.shuffled(len(arrays[0]), name)
    if len(arrays) == 2:
        return splits.shuffled_train(len(arrays[0]), name)
    return splits.Cuts((0, splits.ALL), (1, splits.ALL), (2, splits.ALL))


def _check_alike(arrays: Sequence[np.ndarray], name: str) -> None:
    first = arrays[0]
    for other in arrays[1:]:
        if other.shape[1:] != first.shape[1:] or (other.dtype == np.uint8) != (first.dtype == np.uint8):
            raise DataError(
                f"{name}: the parts differ: rows of {first.shape[1:]} {first.dtype} and of {other.shape[1:]} "
                f"{other.dtype}. Training, validation and test rows must have one shape and type."
            )
