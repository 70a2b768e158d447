"""Convert labels to class indices."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from numbers import Real
from typing import Final

import numpy as np

from aaeframe.data.raw import UNLABELED
from aaeframe.errors import DataError

MOST_CLASSES: Final = 10_000
"""The largest number of classes. Labels with more different values are a quantity."""


def as_classes(
    labels: Sequence[np.ndarray | None], sizes: Sequence[int], where: str
) -> tuple[list[np.ndarray | None], tuple[str, ...] | None]:
    """Class indices for the labels of all parts, each int64 (N,), and the name of each class.

    Integers that are exactly 0..K-1 stay as they are. Other integers, and texts, become the position of their value
    among the sorted different values. Names are the values as text, without spaces at their ends unless these tell two
    apart. Rows without a label, which hold -1, NaN, None or an empty text, become -1. Parts in which no row has a
    label are None.

    Raises:
        DataError: labels are of the wrong number or type, negative, a text nan, or of more than `MOST_CLASSES` values.
    """
    flat = [_one_per_row(part, size, where) for part, size in zip(labels, sizes, strict=True) if part is not None]
    if not flat:
        return [None] * len(labels), None
    if len({part.dtype.kind for part in flat}) > 1:
        raise DataError(f"{where}: the labels of one part are texts, of another numbers; they must be alike.")
    _check_texts(flat, where)
    together = np.concatenate(flat)
    if together.dtype.kind == "U":
        together = _stripped(together)
    known = together != ("" if together.dtype.kind == "U" else UNLABELED)
    if not known.any():
        return [None] * len(labels), None
    values, found = np.unique(together[known], return_inverse=True)
    if values.tolist() == [1] and any(_holds_minus_one(part) for part in labels if part is not None):
        raise DataError(
            f"{where}: the labels are -1 and 1: either two classes, or one class and rows without a label. Write the "
            "classes as 0 and 1, or as texts."
        )
    if texts := [it for it in values.tolist() if isinstance(it, str) and it.strip().lower() == "nan"]:
        raise DataError(
            f"{where}: labels are {texts[0]!r}: it can be the name of a class, or stand for no label. Write None or an "
            "empty text in rows without a label; else rename the class."
        )
    index = np.full(len(together), UNLABELED, np.int64)
    index[known] = found
    if len(values) > MOST_CLASSES:
        raise DataError(
            f"{where}: the labels have {len(values)} different values; at most {MOST_CLASSES} are classes. A "
            "quantity cannot be a label: leave it out, or give it as a feature."
        )
    names = tuple(str(value) for value in values)
    check_names(names, where)
    pieces = iter(np.split(index, np.cumsum([len(part) for part in flat])[:-1]))
    return [None if part is None else next(pieces) for part in labels], names


def _stripped(texts: np.ndarray) -> np.ndarray:
    """The texts without spaces at their ends, as a table's are read, unless these tell two apart."""
    short = np.char.strip(texts)
    full = np.where(short == "", "", texts)
    return short if len(np.unique(short)) == len(np.unique(full)) else full


def _holds_minus_one(labels: np.ndarray) -> bool:
    if labels.dtype.kind == "O":
        return any(isinstance(it, Real) and it == UNLABELED for it in labels.flat)
    return labels.dtype.kind in "if" and bool((labels == UNLABELED).any())


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
    if flat.dtype.kind == "O":
        flat = _from_objects(flat)
    if flat.dtype.kind == "U":
        return flat
    if flat.dtype.kind not in "buif":
        raise DataError(f"{where}: the labels are of type {labels.dtype}; they must be integers or texts.")
    return _integers(flat, where)


def _from_objects(labels: np.ndarray) -> np.ndarray:
    """Texts or numbers in place of Python objects; the objects, if they mix."""
    missing = np.array([is_missing(it) for it in labels], np.bool_)
    known = labels[~missing]
    if all(isinstance(it, str) for it in known) and len(known):
        found = np.array([str(it) for it in known])
        whole = np.full(len(labels), "", found.dtype)
    elif all(isinstance(it, Real | np.bool_) for it in known):
        found = np.array(known.tolist()) if len(known) else np.empty(0, np.int64)
        if found.dtype.kind not in "biuf":
            return labels
        whole = np.full(len(labels), UNLABELED, np.result_type(found, np.int64))
    else:
        return labels
    whole[~missing] = found
    return whole


def is_missing(value: object) -> bool:
    """Whether an object of Python stands for no value: None, NaN, or NA and NaT of pandas."""
    of_pandas = type(value).__name__ in ("NAType", "NaTType")  # by their names, so that pandas need not be there
    return value is None or of_pandas or (isinstance(value, Real) and value != value)


def _integers(labels: np.ndarray, where: str) -> np.ndarray:
    if labels.dtype.kind == "f":
        labels = np.where(np.isnan(labels), UNLABELED, labels)
    with np.errstate(invalid="ignore"):  # infinity differs from whatever it is cast to
        whole = labels.astype(np.int64)
    wrong = np.flatnonzero((whole != labels) | (whole < UNLABELED))
    if len(wrong):
        raise DataError(
            f"{where}: {len(wrong)} labels are not class indices; the first is {labels[wrong[0]]} in row "
            f"{wrong[0]} (counted from 0). Labels are integers from 0 upwards, or texts; a row without a label has -1, "
            "NaN, None or an empty text."
        )
    return whole
