"""Runs that start from the weights of another run."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import aaeframe
from aaeframe.errors import CheckpointError, ConfigError, DataError, RunError

ROWS = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
OTHER = 3 + 2 * np.random.default_rng(1).normal(size=(40, 4)).astype(np.float32)
SMALL = {"batch_size": 10, "device": "cpu"}
PARTS = {"prior": "mixture(components=3)", "network": "mlp(hidden=[8])", "discriminator": "mlp(hidden=[8])"}
STILL = {"optimizers": {"reconstruction": {"lr": 1e-12}, "discriminator": {"lr": 1e-12}, "generator": {"lr": 1e-12}}}


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    return aaeframe.train(ROWS, out=tmp_path_factory.mktemp("runs") / "first", epochs=1, **PARTS, **SMALL)


def test_the_weights_and_the_scale_at_the_start_are_those_of_the_initial_run(first):
    run = aaeframe.train(OTHER, initial=first, keep=False, steps=1, config=STILL, **SMALL)
    assert run.config.prior["mixture"].options == {"components": 3, **run.config.prior["mixture"].options}
    assert run.config.training.initial == str(first.folder.path)
    for name, value in first.encode(OTHER).items():
        torch.testing.assert_close(run.encode(OTHER)[name], value)
    assert run.model.mean.tolist() == first.model.mean.tolist()


def test_a_folder_is_as_good_as_a_run(first):
    run = aaeframe.train(OTHER, initial=first, keep=False, epochs=1, **SMALL)
    other = aaeframe.train(OTHER, initial=first.folder.path, keep=False, epochs=1, **SMALL)
    for name, value in run.model.state_dict().items():
        assert torch.equal(other.model.state_dict()[name], value), name


def test_the_name_of_a_folder_is_kept_as_given(first, monkeypatch):
    monkeypatch.chdir(first.folder.path.parent)
    run = aaeframe.train(OTHER, initial="first", keep=False, epochs=1, **SMALL)
    assert run.config.training.initial == "first"


def test_a_run_in_memory_is_an_initial_run(first):
    middle = aaeframe.train(OTHER, initial=first, keep=False, epochs=1, **SMALL)
    assert aaeframe.train(ROWS, initial=middle, keep=False, epochs=1, **SMALL).step == 4


def test_a_run_that_started_from_another_is_resumed_to_the_same_bits(first, tmp_path):
    whole = aaeframe.train(OTHER, initial=first, out=tmp_path / "whole", epochs=3, **SMALL)
    with pytest.warns(UserWarning, match="ended the run"):
        aaeframe.train(OTHER, initial=first, out=tmp_path / "cut", epochs=3, observers=[_Stops()], **SMALL)
    resumed = aaeframe.resume(tmp_path / "cut", data=OTHER)
    for name, value in whole.model.state_dict().items():
        assert torch.equal(resumed.model.state_dict()[name], value), name


def test_the_configuration_of_such_a_run_starts_from_it_again(first, tmp_path):
    run = aaeframe.train(OTHER, initial=first, out=tmp_path / "run", epochs=1, **SMALL)
    again = aaeframe.train(OTHER, config=tmp_path / "run/config.toml", keep=False)
    for name, value in run.model.state_dict().items():
        assert torch.equal(again.model.state_dict()[name], value), name


def test_what_does_not_fit_the_initial_run_is_refused(first):
    with pytest.raises(DataError, match=r"trained on rows of shape \[4\], found .*\[3\]"):
        aaeframe.train(aaeframe.data.from_arrays(OTHER[:, :3]), initial=first, keep=False, epochs=1, **SMALL)
    with pytest.raises(
        ConfigError, match="the weights of the initial run do not fit this model; start from it without"
    ):
        aaeframe.train(OTHER, initial=first, network="mlp(hidden=[9])", keep=False, epochs=1, **SMALL)
    with pytest.raises(ConfigError, match=r"initial=3 is of type int; pass a run, or its folder"):
        aaeframe.train(OTHER, initial=3, keep=False, **SMALL)
    with pytest.raises(RunError, match="is not a run"):
        aaeframe.train(OTHER, initial="nowhere", keep=False, **SMALL)


def test_a_run_in_memory_is_saved_later_and_loaded(first, tmp_path):
    run = aaeframe.train(OTHER, initial=first, keep=False, epochs=2, patience=2, **SMALL)
    saved = run.save(tmp_path / "saved")
    loaded = aaeframe.load(tmp_path / "saved", data=OTHER)
    assert (saved.folder.path, loaded.step, loaded.finished) == (tmp_path / "saved", run.step, True)
    assert loaded.metrics == list(run.metrics)
    torch.testing.assert_close(loaded.encode(ROWS), run.encode(ROWS), rtol=0, atol=0)
    torch.testing.assert_close(loaded.best().encode(ROWS), run.best().encode(ROWS), rtol=0, atol=0)
    assert loaded.evaluate() == run.evaluate()
    with pytest.raises(RunError, match="was saved from memory, without the state of its optimizers"):
        aaeframe.resume(tmp_path / "saved", data=OTHER)
    with pytest.raises(RunError, match="exists already"):
        run.save(tmp_path / "saved")
    best = run.best().save(tmp_path / "best")
    assert aaeframe.load(tmp_path / "best").step == best.step == run.best().step


def test_every_row_is_held_or_not_as_the_new_run_says(first):
    run = aaeframe.train(OTHER, initial=first, held_out=(0, 0), keep=False, epochs=1, **SMALL)
    assert run.data["rows"]["training"] == 40
    with pytest.raises(ConfigError, match=r"data\.scale is that of the initial run"):
        aaeframe.train(OTHER, initial=first, scale="none", keep=False, epochs=1, **SMALL)


@pytest.mark.slow
def test_data_with_other_classes_and_columns_is_the_run_s_own_afterwards(tmp_path):
    labels = np.arange(60) % 3
    first = aaeframe.train((ROWS, labels), keep=False, epochs=1, **PARTS, **SMALL)
    file = tmp_path / "two.npz"
    np.savez(file, x=OTHER, labels=2 * (np.arange(40) % 2))
    run = aaeframe.train(file, initial=first, out=tmp_path / "run", epochs=1, label_key="labels", **SMALL)
    assert run.class_names == ("0", "1", "2")
    assert run.evaluate()["rows"] == 4
    assert aaeframe.load(tmp_path / "run").evaluate() == run.evaluate()
    with pytest.warns(UserWarning, match="nothing was trained"):
        assert aaeframe.resume(tmp_path / "run").finished


def test_steps_are_not_added_after_an_epoch_that_ended_early(tmp_path):
    aaeframe.train(ROWS, out=tmp_path / "run", steps=6, **PARTS, **SMALL)
    file = tmp_path / "run/config.toml"
    file.write_text(file.read_text().replace("steps = 6", "steps = 20"))
    early = r"is of step 6, where the training would be at 8: bring training\.steps and training\.batch_size back"
    with pytest.warns(UserWarning, match="was 6, is 20"), pytest.raises(CheckpointError, match=early):
        aaeframe.resume(tmp_path / "run", data=ROWS)


class _Stops:
    def stepped(self, step, losses):
        if step == 5:
            raise aaeframe.StopRun
