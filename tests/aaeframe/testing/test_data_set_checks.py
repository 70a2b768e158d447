"""Checks of a data set: right rows pass, missing data is not tested, and each mistake is named."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch

from aaeframe.errors import DataError
from aaeframe.testing import checks_for


def right():
    return np.random.default_rng(0).random((40, 3), dtype=np.float32)


def of_the_random_state():
    return np.full((40, 3), random.random(), dtype=np.float32)


def offline():
    raise DataError("no network")


def missing():
    return Path("/nowhere/rows.csv")


def run(name, factory):
    return dict(checks_for("data-set", factory))[name]()


@pytest.mark.parametrize("name", ["rows", "same-rows"])
def test_right_rows_pass_and_missing_data_is_not_tested(name):
    assert run(name, right) is None
    assert run(name, offline) == "the data is not available: no network"
    assert run(name, missing) == "the data is not available: there is no /nowhere/rows.csv"


@pytest.mark.parametrize(
    ("name", "factory", "words"),
    [
        ("rows", lambda: 3, "the factory returns int; return an aaeframe.data.Dataset"),
        ("rows", lambda: 1 / 0, "the factory fails with default options: ZeroDivisionError"),
        ("rows", of_the_random_state, "and changed the random state of Python"),
        ("same-rows", of_the_random_state, "loaded twice, the data set has other values"),
    ],
)
def test_a_mistake_fails_the_check_that_names_it(name, factory, words):
    with pytest.raises(AssertionError) as failed:
        run(name, factory)
    assert words in str(failed.value)


def test_random_states_are_restored():
    before = random.getstate(), torch.get_rng_state()
    run("same-rows", right)
    assert random.getstate() == before[0]
    assert torch.equal(torch.get_rng_state(), before[1])
