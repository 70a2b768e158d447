"""Runs without a folder: nothing is written, and the weights are the same."""

from __future__ import annotations

import copy
import pickle
import re

import numpy as np
import pytest
import torch

import aaeframe
from aaeframe.errors import ConfigError, RunError

ROWS = np.random.default_rng(0).normal(size=(100, 4)).astype("float32")
SMALL = {"prior": "gaussian(size=2)", "network": "mlp(hidden=[8])", "discriminator": "mlp(hidden=[8])", "epochs": 2}


def test_a_run_in_memory_writes_nothing_and_has_the_same_weights(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = aaeframe.train(ROWS, keep=False, **SMALL)
    assert list(tmp_path.iterdir()) == []
    kept = aaeframe.train(ROWS, out=tmp_path / "kept", **SMALL)
    for name, value in kept.model.state_dict().items():
        assert torch.equal(run.model.state_dict()[name], value), name
    losses = [name for name in kept.metrics[0] if "second" not in name]
    assert [[row[it] for it in losses] for row in run.metrics] == [[row[it] for it in losses] for row in kept.metrics]


def test_a_run_in_memory_is_used_like_any_other(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = aaeframe.train(ROWS, keep=False, **SMALL)
    assert run.encode(ROWS)["gaussian"].shape == (100, 2)
    data = aaeframe.data.from_arrays(ROWS)
    assert run.evaluate(data)["step"] == run.step
    assert run.likelihood(data, samples=20)["samples"] == 20
    assert list(tmp_path.iterdir()) == []


class Places:
    """An observer that notes in which folders it is told of reports."""

    def __init__(self):
        self.found = []

    def run_started(self, config, folder, steps, step):
        self.found.append(folder)

    def reported(self, name, report): ...


def test_a_run_that_is_saved_is_at_that_place_whatever_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    places = Places()
    run = aaeframe.train(ROWS, keep=False, observers=[places], **SMALL).save("run")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    run.evaluate(two_sample=False)
    assert places.found == [None, tmp_path / "run"]
    assert len(run.metrics) == 2
    assert run.folder.test_accesses == tmp_path / "run" / "test_accesses.jsonl"


def test_the_best_epoch_of_a_finished_run_is_saved_as_finished(tmp_path):
    learning = {"reconstruction": {"name": "adam", "lr": 0.02}}
    several = {**SMALL, "network": "mlp(hidden=[64, 64])", "epochs": 60}
    run = aaeframe.train(ROWS, keep=False, patience=1, batch_size=10, config={"optimizers": learning}, **several)
    assert run.finished
    assert run.best().step < run.step
    run.best().save(tmp_path / "best")
    assert aaeframe.load(tmp_path / "best").finished


def test_what_needs_a_folder_says_so():
    run = aaeframe.train(ROWS, keep=False, **SMALL)
    with pytest.raises(RunError, match="is in memory and has no folder; write it to one with save\\(path\\)"):
        run.plot_figures(aaeframe.data.from_arrays(ROWS))
    with pytest.raises(ConfigError, match="out='x' is not used with keep=False"):
        aaeframe.train(ROWS, keep=False, out="x", **SMALL)


def test_a_run_is_copied_but_not_pickled(tmp_path):
    run = aaeframe.train(ROWS, keep=False, **SMALL)
    for made in (copy.copy(run), copy.deepcopy(run)):
        assert torch.equal(made.encode(ROWS)["gaussian"], run.encode(ROWS)["gaussian"])
        assert made.metrics == run.metrics
    assert copy.deepcopy(run).model is not run.model
    for it, place in ((run, "the path of run.save(path)"), (run.save(tmp_path / "kept"), "run.folder.path")):
        with pytest.raises(RunError, match=rf"pass on {re.escape(place)}, and read it by aaeframe\.load"):
            pickle.dumps(it)
