"""The fixed splits of data that comes without any."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from aaeframe.errors import DataError

Rows: TypeAlias = tuple[int, slice | np.ndarray]
"""Rows of one part of the data: the number of the part, and which of its rows."""

ALL = slice(None)


@dataclass(frozen=True)
class Cuts:
    """Which rows are for training, for validation and for the test."""

    train: Rows
    validation: Rows
    test: Rows


def shuffled(count: int, where: str, held_out: tuple[int, int] | None = None) -> Cuts:
    """A tenth for the test, a tenth for validation, the rest for training; or (validation, test) rows held out.

    The rows are those of `numpy.random.default_rng(0).permutation(count)`, first the test's, then the
    validation's; within a split they keep the order of the file.
    """
    _at_least(count, 10, where)
    validation, test = held_out or (count // 10, count // 10)
    if min(validation, test) < 1 or validation + test >= count:
        raise DataError(
            f"{where}: {validation} validation and {test} test rows were asked for of {count} rows. Hold out at least "
            "one of each, and leave some for training."
        )
    order = np.random.default_rng(0).permutation(count)
    parts = (np.sort(rows) for rows in np.split(order, [test, test + validation]))
    return Cuts(test=(0, next(parts)), validation=(0, next(parts)), train=(0, next(parts)))


def shuffled_train(count: int, where: str) -> Cuts:
    """For a file with a test part: a tenth of the training part, by the same permutation, for validation."""
    _at_least(count, 10, where)
    order, tenth = np.random.default_rng(0).permutation(count), count // 10
    return Cuts((0, np.sort(order[tenth:])), (0, np.sort(order[:tenth])), (1, ALL))


def last(count: int, held_out: int) -> Cuts:
    """For files with a test part: the last `held_out` of `count` training rows for validation."""
    return Cuts((0, slice(0, count - held_out)), (0, slice(count - held_out, count)), (1, ALL))


def stratified(labels: np.ndarray, validation: int, test: int) -> Cuts:
    """Splits of these sizes with the classes of the whole in each, within one row per class.

    Each row stands where it falls within its class, in random order: at (rank + 1/2) / class size. Sorted by
    that, any stretch holds its share of every class. The random order is `numpy.random.default_rng(0)`'s.
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
