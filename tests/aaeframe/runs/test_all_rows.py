"""Trainings on every row, and for a number of steps."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import aaeframe
from aaeframe.errors import ConfigError, DataError

ROWS = np.random.default_rng(0).normal(size=(23, 4)).astype(np.float32)
SMALL = {"network": "mlp(hidden=[8])", "discriminator": "mlp(hidden=[8])", "batch_size": 5, "device": "cpu"}


@pytest.fixture(scope="module")
def whole():
    return aaeframe.train(ROWS, held_out=[0, 0], keep=False, epochs=2, progress=True, **SMALL)


def test_every_row_is_trained_on(whole):
    assert whole.data["rows"] == {"training": 23, "validation": 0, "test": 0}
    np.testing.assert_array_equal(whole.dataset().train.array(), ROWS)
    assert [row["step"] for row in whole.metrics] == [4, 8]
    assert not any(key.startswith(("validation/", "mismatch/")) for key in whole.metrics[0])


def test_rows_that_were_not_held_out_are_not_evaluated(whole):
    with pytest.raises(DataError, match=r"has no test rows, as data\.held_out left none"):
        whole.evaluate()
    with pytest.raises(DataError, match="has no validation rows"):
        whole.likelihood(split="train")
    assert whole.evaluate(ROWS)["rows"] == 23


def test_a_single_row_is_trained_on():
    run = aaeframe.train(ROWS[:1], held_out=[0, 0], scale="none", keep=False, epochs=1, **SMALL)
    assert run.encode(ROWS[:1])["gaussian"].isfinite().all()


def test_a_run_ends_after_its_number_of_steps():
    run = aaeframe.train(ROWS, held_out=[0, 0], keep=False, steps=6, **SMALL)
    assert (run.step, run.finished, run.config.training.epochs) == (6, True, 2)
    assert [row["step"] for row in run.metrics] == [4, 6]


def test_fewer_steps_than_an_epoch_are_one_short_epoch():
    run = aaeframe.train(ROWS, held_out=[0, 0], keep=False, steps=3, **SMALL)
    assert (run.step, [row["step"] for row in run.metrics]) == (3, [3])


@pytest.mark.slow
def test_a_run_in_steps_is_resumed_to_the_same_bits(tmp_path):
    whole = aaeframe.train(ROWS, out=tmp_path / "whole", steps=7, **SMALL)
    with pytest.warns(UserWarning, match="ended the run, at step 5 of 7"):
        cut = aaeframe.train(ROWS, out=tmp_path / "cut", steps=7, observers=[_StopsAt(5)], **SMALL)
    assert (cut.step, cut.finished) == (5, False)
    resumed = aaeframe.resume(tmp_path / "cut", data=ROWS)
    assert (resumed.step, resumed.finished) == (7, True)
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name]), name
    loaded = aaeframe.load(tmp_path / "cut")
    assert (loaded.step, loaded.finished) == (7, True)


def test_epochs_and_steps_are_not_given_together():
    with pytest.raises(ConfigError, match=r"training\.epochs and training\.steps both say how long to train"):
        aaeframe.train(ROWS, keep=False, epochs=2, steps=7, **SMALL)


def test_epochs_replace_the_steps_of_a_configuration():
    run = aaeframe.train(ROWS, keep=False, epochs=1, config={"training": {"steps": 70}}, **SMALL)
    assert (run.config.training.steps, run.step) == (None, 3)


class _StopsAt:
    def __init__(self, step):
        self.step = step

    def stepped(self, step, losses):
        if step == self.step:
            raise aaeframe.StopRun


@pytest.mark.parametrize(("recipe", "labels"), [("clustering", None), ("semi-supervised", "all")])
def test_a_single_class_is_trained(recipe, labels):
    data = ROWS if labels is None else (ROWS, np.zeros(len(ROWS), np.int64))
    prior = "categorical(classes=1)+gaussian(size=2)"
    run = aaeframe.train(data, prior=prior, recipe=recipe, labels=labels, keep=False, epochs=2, **SMALL)
    assert (run.encode(ROWS)["categorical"] == 1).all()
