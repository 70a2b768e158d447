"""Checks of a data set: it can be loaded, and has the same rows each time. It is downloaded if it is missing."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import torch

from aaeframe.data import Dataset, load
from aaeframe.data.identity import changes, identity
from aaeframe.data.named import NamedData, check_value
from aaeframe.errors import BrokenComponent, DataError
from aaeframe.global_state import RANDOM_STATES, guarded
from aaeframe.testing.case import ComponentCase, require, seeded
from aaeframe.testing.surroundings import elsewhere


class DataSetCase(ComponentCase):
    """A factory of a data set."""


@seeded
def check_rows(case: DataSetCase) -> str | None:
    """The factory returns a Dataset, a path or rows, which can be loaded. Not tested where the data is missing."""
    found = _load(case)
    return found if isinstance(found, str) else None


@seeded
def check_same_rows(case: DataSetCase) -> str | None:
    """The rows are the same each time, whatever the time, the machine and the random states of Python, NumPy and torch.

    A run refuses data that changed, so a factory that draws random numbers draws them from a seed of its own.
    """
    first = _load(case)
    if isinstance(first, str):
        return first
    with guarded(RANDOM_STATES), elsewhere(case.factory):
        random.seed(1)
        np.random.seed(1)
        torch.default_generator.manual_seed(1)
        second = _load(case)
    if isinstance(second, str):
        return second
    found = changes(identity(first), identity(second))
    require(
        not found,
        f"loaded twice, the data set has {'; '.join(found)}: draw random numbers from a generator with a seed of its "
        "own, an option of the factory, and read no clock",
    )
    return None


def _load(case: DataSetCase) -> Dataset | str:
    """The data set, or the reason why it is neither on this machine nor can be downloaded."""
    try:
        value = case.build()
    except DataError as error:
        return f"the data is not available: {error}"
    except Exception as error:
        raise AssertionError(f"the factory fails with default options: {type(error).__name__}: {error}") from error
    if isinstance(value, Path) and not value.expanduser().exists():
        return f"the data is not available: there is no {value}"
    try:
        check_value(value, "the factory")
        return load(NamedData("the data set", value))
    except (BrokenComponent, DataError) as error:
        raise AssertionError(str(error)) from error
