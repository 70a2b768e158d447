"""The fixed splits of data without splits of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np

from aaeframe.data.sources import Remaining
from aaeframe.errors import DataError

PartRows: TypeAlias = tuple[int, slice | np.ndarray | Remaining]
"""Rows of one part of the data: the number of the part, and the selected rows."""

NAMES: Final = ("train", "validation", "test")
"""The splits, in the order of their parts."""

WORDS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
"""The words, in lower case, by which names of files and folders say a split."""

ALL = slice(None)

LEAST = 10
"""The fewest rows that are split."""


@dataclass(frozen=True)
class Cuts:
    """The rows for training, for validation and for the test."""

    train: PartRows
    validation: PartRows
    test: PartRows


def shuffled(count: int, where: str, held_out: tuple[int, int] | None = None) -> Cuts:
    """Split into a tenth for the test, a tenth for validation and the rest for training; or by `held_out` rows.

    `held_out` is (validation, test); (0, 0) leaves every row for training. The permutation is
    `numpy.random.default_rng(0).permutation(count)`: first the test rows, then the validation rows. Within a split
    they keep the order of the file.
    """
    if held_out is None:
        _at_least(count, LEAST, where)
        held_out = count // 10, count // 10
    validation, test = held_out
    if min(held_out) < 0 or validation + test >= count:
        raise DataError(
            f"{where}: {validation} validation and {test} test rows were requested from {count} rows. Hold out 0 or "
            "more of each, and leave some for training."
        )
    order = np.random.default_rng(0).permutation(count)
    parts = (np.sort(rows) for rows in np.split(order, [test, test + validation]))
    return Cuts(test=(0, next(parts)), validation=(0, next(parts)), train=(0, next(parts)))


def shuffled_train(count: int, where: str) -> Cuts:
    """Split a file with a test part: a tenth of the training part, by the same permutation, is for validation."""
    _at_least(count, LEAST, where)
    order, tenth = np.random.default_rng(0).permutation(count), count // 10
    return Cuts((0, np.sort(order[tenth:])), (0, np.sort(order[:tenth])), (1, ALL))


def without_test(found: Sequence[str | None], sizes: Sequence[int]) -> Cuts | None:
    """The splits of parts that are training and validation rows: a tenth of the former is for the test.

    None for other parts, and for so few rows that they are refused where they are split.
    """
    if list(found) != ["train", "validation"] or sizes[0] < LEAST:
        return None
    cuts = shuffled_train(sizes[0], "")
    return Cuts(train=cuts.train, validation=(1, ALL), test=cuts.validation)


def last(count: int, held_out: int) -> Cuts:
    """Split files with a test part: the last `held_out` of `count` training rows are for validation."""
    return Cuts((0, slice(0, count - held_out)), (0, slice(count - held_out, count)), (1, ALL))


def stratified(labels: np.ndarray, validation: int, test: int) -> Cuts:
    """Splits of these sizes, each with the class frequencies of the whole, within one row per class.

    Each row gets the place (rank + 1/2) / class size, by its random rank within its class. After sorting by place, any
    stretch has its share of every class. The random order is that of `numpy.random.default_rng(0)`.
    """
    order = np.random.default_rng(0).permutation(len(labels))
    place = np.empty(len(labels))
    for label in np.unique(labels):
        members = order[labels[order] == label]
        place[members] = (np.arange(len(members)) + 0.5) / len(members)
    order = order[np.argsort(place[order], kind="stable")]
    rows = [np.sort(part) for part in np.split(order, [test, test + validation])]
    return Cuts((0, rows[2]), (0, rows[1]), (0, rows[0]))


def _at_least(count: int, least: int, where: str) -> None:
    if count < least:
        raise DataError(f"{where}: {count} rows are too few for training, validation and test; give at least {least}.")
