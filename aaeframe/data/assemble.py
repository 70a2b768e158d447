"""From arrays to a data set, with the checks that every source passes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aaeframe.data import splits
from aaeframe.data.classes import as_classes
from aaeframe.data.dataset import Dataset, Split
from aaeframe.data.layout import as_rows, settle
from aaeframe.data.scaling import fit
from aaeframe.data.statistics import Range, check_finite
from aaeframe.errors import DataError
from aaeframe.protocols import DataSpec


@dataclass(frozen=True, eq=False)
class RawPart:
    """All data of a file, or its training or test part, with one label per row or none."""

    x: np.ndarray
    labels: np.ndarray | None = None


def from_arrays(x: np.ndarray, labels: np.ndarray | None = None, *, name: str = "arrays") -> Dataset:
    """A data set of your own arrays, split 80 : 10 : 10 by a fixed permutation.

    `x` is a table (N, D) or images (N, H, W), (N, H, W, C) or (N, C, H, W). It is not copied if it is contiguous and
    uint8 or float32, and stays in its file if it is a `numpy.memmap`. `labels` (N,) are integers or texts.

    Raises:
        DataError: the arrays are empty, not finite, not of these shapes, or the labels do not fit.
    """
    for array in (x, labels):
        if isinstance(array, np.ma.MaskedArray):
            raise DataError(f"{name}: masked arrays would lose their masks. Give {name} without masked values.")
    part = RawPart(x if isinstance(x, np.memmap) else np.asarray(x), None if labels is None else np.asarray(labels))
    return assemble(name, [part], None)


def assemble(
    name: str,
    parts: Sequence[RawPart],
    cuts: splits.Cuts | None,
    *,
    spec: DataSpec | None = None,
    class_names: tuple[str, ...] | None = None,
) -> Dataset:
    """Check the parts and cut them into the three splits.

    Without `cuts`, one part is split by `splits.shuffled`. Two parts are training and test (`splits.shuffled_train`),
    three are training, validation and test. `spec` and `class_names` override what would be derived from the values.
    """
    arrays, labels, found_names, values = _checked(name, parts)
    cuts = cuts or _default_cuts(arrays, name)
    train, validation, test = (
        _split(arrays[part], labels[part], rows, name) for part, rows in (cuts.train, cuts.validation, cuts.test)
    )
    names = _names(found_names, class_names)
    count = None if names is None else len(names)
    return Dataset(name, spec or fit(train, values), train, validation, test, count, names)


def gather(
    name: str, parts: Sequence[RawPart], class_names: tuple[str, ...] | None = None
) -> tuple[Split, tuple[str, ...] | None]:
    """Check the parts as `assemble` does and concatenate them; returns the rows and the class names."""
    arrays, labels, found_names, _ = _checked(name, parts)
    known = [part for part in labels if part is not None]
    x = arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
    return Split(x, None, np.concatenate(known) if len(known) == len(parts) else None), _names(found_names, class_names)


def _checked(
    name: str, parts: Sequence[RawPart]
) -> tuple[list[np.ndarray], list[np.ndarray | None], tuple[str, ...] | None, Range]:
    """The rows and the labels of each part, the class names, and the range of all values."""
    arrays = [as_rows(part.x, name) for part in parts]
    _check_alike(arrays, name)
    ranges = [check_finite(x, name) for x in arrays]
    arrays = [settle(x) for x in arrays]
    labels, names = as_classes([part.labels for part in parts], [len(x) for x in arrays], name)
    return arrays, labels, names, Range(min(r.low for r in ranges), max(r.high for r in ranges))


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


def _names(found: tuple[str, ...] | None, known: tuple[str, ...] | None) -> tuple[str, ...] | None:
    # known names apply only if the labels have as many classes
    return known if found is not None and known is not None and len(found) == len(known) else found
