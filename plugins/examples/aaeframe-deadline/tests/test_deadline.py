"""The observer conforms, and ends a run in time."""

from __future__ import annotations

import numpy as np
import pytest

import aaeframe
import aaeframe_deadline
from aaeframe.testing import plugin_checks
from aaeframe_deadline import Deadline

SMALL = {"network": "mlp(hidden=[8])", "discriminator": "mlp(hidden=[8])", "batch_size": 20, "epochs": 2}


@pytest.mark.parametrize("check", plugin_checks("aaeframe-deadline", "deadline(minutes=0.5)"), ids=str)
def test_conformance(check):
    check()


@pytest.fixture
def rows():
    return np.random.default_rng(0).normal(size=(100, 4)).astype("float32")


@pytest.fixture
def a_minute_a_look(monkeypatch):
    now = iter(range(0, 6000, 60))
    monkeypatch.setattr(aaeframe_deadline, "clock", lambda: float(next(now)))


@pytest.mark.usefixtures("a_minute_a_look")
def test_it_ends_a_run_that_can_be_resumed(rows, tmp_path):
    with pytest.warns(UserWarning, match="'deadline' ended the run: its 4 minutes are over, at step 5 of 8"):
        run = aaeframe.train(rows, observers=["deadline(minutes=4.0)"], out=tmp_path / "run", **SMALL)
    assert not run.finished

    assert aaeframe.resume(tmp_path / "run", data=rows).finished


@pytest.mark.filterwarnings("ignore::aaeframe.errors.TrainingWarning")
def test_a_run_in_time_is_left_alone(rows):
    run = aaeframe.train(rows, observers=[Deadline()], keep=False, **SMALL)
    assert run.finished
