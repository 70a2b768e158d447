"""Convert labels to class indices."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np

from aaeframe.errors import DataError

MOST_CLASSES: Final = 10_000
"""The largest number of classes. Labels with more different values are a quantity."""


def as_classes(
    labels: Sequence[np.ndarray | None], sizes: Sequence[int], where: str
) -> tuple[list[np.ndarray | None], tuple[str, ...] | None]:
    """Class indices for the labels of all parts, each int64 (N,), and the name of each class.

    Integers that are exactly 0..K-1 stay as they are. Other integers, and texts, become the position of their value
    among the sorted different values. Names are the values as text. Parts without labels stay None.

    Raises:
        DataError: labels are of the wrong number or type, negative, or of more than `MOST_CLASSES` values.
    """
    flat = [_one_per_row(part, size, where) for part, size in zip(labels, sizes, strict=True) if part is not None]
    if not flat:
        return [None] * len(labels), None
    if len({part.dtype.kind for part in flat}) > 1:
        raise DataError(f"{where}: the labels of one part are texts, of another numbers; they must be alike.")
    _check_texts(flat, where)
    values, index = np.unique(np.concatenate(flat), return_inverse=True)
    if len(values) > MOST_CLASSES:
        raise DataError(
            f"{where}: the labels have {len(values)} different values; at most {MOST_CLASSES} are classes. A "
            "quantity cannot be a label: leave it out, or give it as a feature."
        )
    names = tuple(str(value) for value in values)
    check_names(names, where)
    pieces = iter(np.split(index.astype(np.int64), np.cumsum([len(part) for part in flat])[:-1]))
    return [None if part is None else next(pieces) for part in labels], names


def check_names(names: Iterable[str], where: str) -> None:
    """Refuse class names that cannot be written as UTF-8.

    Raises:
        DataError: a name holds an invalid character, as file names that are not in UTF-8 may.
    """
    for name in names:
        try:
            name.encode()
        except UnicodeEncodeError as error:
            raise DataError(f"{where}: the class {name!r} has a name that is not in UTF-8. Rename it.") from error


def _check_texts(labels: Sequence[np.ndarray], where: str) -> None:
    for part in labels:
        if part.dtype.kind != "U" or part.dtype.itemsize == 0:
            continue
        native = np.ascontiguousarray(part, part.dtype.newbyteorder("="))
        if (native.view(np.uint32) > sys.maxunicode).any():
            raise DataError(f"{where}: the labels are texts with invalid characters. Write the file again.")


def _one_per_row(labels: np.ndarray, rows: int, where: str) -> np.ndarray:
    if labels.size != rows or max(labels.shape, default=0) != rows:
        hint = " Class indices of one-hot rows are `labels.argmax(1)`." if labels.shape[:1] == (rows,) else ""
        raise DataError(f"{where}: the labels have the shape {labels.shape}; {rows} rows need ({rows},).{hint}")
    flat = labels.reshape(rows)
    if flat.dtype.kind == "U":
        return flat
    if flat.dtype.kind not in "buif":
        raise DataError(f"{where}: the labels are of type {labels.dtype}; they must be integers or texts.")
    return _integers(flat, where)


def _integers(labels: np.ndarray, where: str) -> np.ndarray:
    with np.errstate(invalid="ignore"):  # NaN and infinity differ from whatever they are cast to
        whole = labels.astype(np.int64)
    wrong = np.flatnonzero((whole != labels) | (whole < 0))
    if len(wrong):
        raise DataError(
            f"{where}: {len(wrong)} labels are not class indices; the first is {labels[wrong[0]]} in row "
            f"{wrong[0]} (counted from 0). Labels are integers from 0 upwards, or texts."
        )
    return whole
