"""Labels become class indices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from aaeframe.errors import DataError

MOST_CLASSES: Final = 10_000
"""More different labels than this are a quantity and not classes."""


def as_classes(
    labels: Sequence[np.ndarray | None], sizes: Sequence[int], where: str
) -> tuple[list[np.ndarray | None], tuple[str, ...] | None]:
    """The labels of the parts of one data set as int64 indices (N,), and what each class is called.

    Integers that are exactly 0..K-1 stay as they are. Other integers, and texts, become the position of their
    value among the sorted different values. Names are the values as text. Parts without labels stay without.

    Raises:
        DataError: labels are of the wrong number or type, negative, or of more than `MOST_CLASSES` values.
    """
    flat = [_one_per_row(part, size, where) for part, size in zip(labels, sizes, strict=True) if part is not None]
    if not flat:
        return [None] * len(labels), None
    if len({part.dtype.kind for part in flat}) > 1:
        raise DataError(f"{where}: the labels of one part are texts, of another numbers; they must be alike.")
    values, index = np.unique(np.concatenate(flat), return_inverse=True)
    if len(values) > MOST_CLASSES:
        raise DataError(
            f"{where}: the labels have {len(values)} different values; at most {MOST_CLASSES} are classes. A "
            "quantity cannot be a label: leave it out, or give it as a feature."
        )
    pieces = iter(np.split(index.astype(np.int64), np.cumsum([len(part) for part in flat])[:-1]))
    return [None if part is None else next(pieces) for part in labels], tuple(str(value) for value in values)


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
    with np.errstate(invalid="ignore"):  # NaN and infinity equal nothing they are cast to
        whole = labels.astype(np.int64)
    wrong = np.flatnonzero((whole != labels) | (whole < 0))
    if len(wrong):
        raise DataError(
            f"{where}: {len(wrong)} labels are no class indices; the first is {labels[wrong[0]]} in row "
            f"{wrong[0]} (counted from 0). Labels are integers from 0 upwards, or texts."
        )
    return whole
