"""Loading: a run is read as it was trained, or says what it lacks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from small_runs import ROWS, Telling, assert_same_model, trained

from aaeframe.errors import CheckpointError, ConfigError, DataError
from aaeframe.runs.loading import load
from aaeframe.runs.start import resume
from aaeframe.storage.checkpoint import latest


def test_a_loaded_run_is_the_one_that_was_trained(finished):
    again = load(finished.folder.path)
    assert_same_model(again, finished)
    assert again.finished
    assert not again.model.training
    assert torch.equal(again.reconstruct(ROWS), finished.reconstruct(ROWS))
    assert torch.equal(again.sample(3, seed=1), finished.sample(3, seed=1))


def test_the_average_is_loaded_unless_raw_weights_are_asked_for(finished):
    saved = load_file(latest(finished.folder.checkpoints) / "model.safetensors")
    for raw, prefix in [(False, "ema."), (True, "model.")]:
        run = load(finished.folder.path, raw_weights=raw)
        assert all(torch.equal(value, saved[prefix + name]) for name, value in run.model.state_dict().items())
    averaged, raw = (load(finished.folder.path, raw_weights=raw).reconstruct(ROWS) for raw in (False, True))
    assert not torch.equal(averaged, raw)


def test_loading_leaves_the_callers_random_state_alone(finished):
    before = torch.get_rng_state()
    load(finished.folder.path)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_stopped_run_is_loaded_as_unfinished(tmp_path):
    run = trained(tmp_path / "run", callbacks=Telling(stop_after=3).callbacks)
    assert not run.finished
    assert not load(tmp_path / "run").finished
    assert_same_model(load(tmp_path / "run"), run)


def test_data_and_priors_from_python_must_be_given_again(tmp_path, registry):
    prior = torch.distributions.Independent(torch.distributions.Laplace(torch.zeros(2), 1.0), 1)
    run = trained(tmp_path / "run", prior=prior)
    with pytest.raises(DataError, match=r"trained on data passed in from Python.*aaeframe\.load\(path, data=x\)"):
        resume(tmp_path / "run", registry, objects={"prior.z": prior})
    with pytest.raises(ConfigError, match=r"the prior of block 'z' was an object from Python \(Independent\)"):
        load(tmp_path / "run")
    assert_same_model(load(tmp_path / "run", priors={"z": prior}), run)


def test_a_run_of_a_plugin_that_is_gone_says_so(tmp_path):
    trained(tmp_path / "run")
    config = tmp_path / "run" / "config.toml"
    config.write_text(config.read_text().replace("aaeframe:gaussian", "aaeframe-torus:torus"))
    with pytest.raises(CheckpointError, match=r"(?s)needs what is not here: .*torus.*pip install"):
        load(tmp_path / "run")


DRAWN = """
import torch
from aaeframe import Component, hookimpl

@hookimpl
def aaeframe_priors():
    return [Component("drawn", "aaeframe_drawn:Drawn", "a Gaussian around a center of its own")]

class Drawn(torch.distributions.MultivariateNormal):
    def __init__(self):
        super().__init__(torch.randn(2), torch.eye(2))
"""


def test_what_a_prior_drew_when_it_was_built_is_loaded_again(tmp_path, install):
    install("aaeframe-drawn", {"aaeframe_drawn": DRAWN})
    center = trained(tmp_path / "run", prior="drawn", seed=3).model.priors["drawn"].loc
    torch.manual_seed(99)
    assert torch.equal(load(tmp_path / "run").model.priors["drawn"].loc, center)
    assert not torch.equal(trained(tmp_path / "other", prior="drawn", seed=4).model.priors["drawn"].loc, center)


def test_a_prior_that_cannot_be_copied_stands_beside_a_moving_average(tmp_path):
    class Single(torch.distributions.MultivariateNormal):
        def __deepcopy__(self, memo):
            raise TypeError("there is one of it")

    assert trained(tmp_path / "run", prior=Single(torch.zeros(2), torch.eye(2)), ema=0.9).finished


def test_any_array_is_encoded_whatever_its_memory(finished):
    locked = ROWS.copy()
    locked.flags.writeable = False
    [code] = finished.encode(ROWS).values()
    for x, expected in [(ROWS[::-1], code.flip(0)), (locked, code), (np.asfortranarray(ROWS), code)]:
        [found] = finished.encode(x).values()
        assert torch.equal(found, expected)


def test_a_run_by_a_relative_path_stays_where_it_is_if_the_working_folder_changes(tmp_path, monkeypatch):
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    home.mkdir()
    elsewhere.mkdir()
    monkeypatch.chdir(home)
    run = trained(Path("run"))
    again = load(Path("run"), data=ROWS)
    monkeypatch.chdir(elsewhere)
    for it in (run, again):
        assert len(it.metrics) == 2
        it.evaluate()
    assert len((home / "run" / "test_accesses.jsonl").read_text().splitlines()) == 2
    assert list(elsewhere.iterdir()) == []
