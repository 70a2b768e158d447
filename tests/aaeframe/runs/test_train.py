"""Training: the folder it leaves, what else it touches, and what its bits depend on."""

from __future__ import annotations

import logging
import random
import warnings

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from small_runs import LABELS, ROWS, SMALL, Telling, assert_same_model, content, trained

import aaeframe
from aaeframe.data import from_arrays
from aaeframe.errors import RunError
from aaeframe.runs import start as runs
from aaeframe.runs.loading import load
from aaeframe.storage.checkpoint import latest
from aaeframe.storage.metrics_file import MetricsFile


def test_a_run_is_told_and_leaves_its_folder(tmp_path):
    told = Telling()
    run = trained(tmp_path / "run", callbacks=told.callbacks)
    assert run.finished
    assert told.started == [(2, tmp_path / "run", 8)]
    assert told.warn == []
    assert sorted(path.name for path in run.folder.path.iterdir()) == ["checkpoints", "config.toml", "metrics.jsonl"]
    assert len(MetricsFile(run.folder.metrics).rows()) == 2
    assert not run.model.training


def test_runs_that_start_in_one_second_have_a_folder_each(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("time.strftime", lambda form: "20250101-000000")
    load_data, others = runs.load_data, []

    def load_slowly(config, registry):
        if not others:  # while this run loads its data, another of the same name starts and ends
            others.append(None)
            others[0] = aaeframe.train(data, epochs=1, **SMALL)
        return load_data(config, registry)

    data = tmp_path / "rows.npy"
    np.save(data, ROWS)
    monkeypatch.setattr(runs, "load_data", load_slowly)
    run = aaeframe.train(data, epochs=1, ema=0.5, **SMALL)
    assert run.folder.path.name == f"{others[0].folder.path.name}-2"
    assert [len(MetricsFile(it.folder.metrics).rows()) for it in (run, *others)] == [1, 1]
    assert_same_model(load(run.folder.path), run)


def test_there_is_no_pickle_in_a_run(finished):
    suffixes = {path.suffix for path in content(finished.folder.path)} - {".lock"}  # of those that evaluated it
    assert suffixes == {".toml", ".jsonl", ".json", ".safetensors"}
    for path in finished.folder.path.rglob("*.safetensors"):
        load_file(path)


def test_training_leaves_the_callers_random_state_and_logging_alone(tmp_path):
    handlers = [list(logger.handlers) for logger in (logging.getLogger(), logging.getLogger("aaeframe"))]
    before = torch.get_rng_state(), np.random.get_state(), random.getstate()
    trained(tmp_path / "run", encoder="universal", ema=0.9)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1][1])
    assert random.getstate() == before[2]
    assert [list(logger.handlers) for logger in (logging.getLogger(), logging.getLogger("aaeframe"))] == handlers


def test_the_callers_random_state_changes_nothing(tmp_path):
    runs = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        runs.append(trained(tmp_path / str(seed), encoder="universal"))
    assert_same_model(*runs)


def test_same_seed_same_bits_other_seed_others(tmp_path):
    first, second, other = (trained(tmp_path / name, seed=seed) for name, seed in [("a", 5), ("b", 5), ("c", 6)])
    assert_same_model(first, second)
    checkpoints = [content(latest(run.folder.checkpoints)) for run in (first, second)]
    for path, data in checkpoints[0].items():
        if path.suffix == ".safetensors":
            assert checkpoints[1][path] == data
    with pytest.raises(AssertionError):
        assert_same_model(first, other)


@pytest.mark.slow
def test_evaluating_after_every_epoch_changes_no_weight(tmp_path):
    dataset = from_arrays(ROWS)

    def look(row):
        now = load(tmp_path / "watched")
        if row["epoch"] == 1:
            now.evaluate(dataset, split="validation")
        now.sample(3, seed=0)
        now.encode(ROWS, draws=2, generator=torch.Generator().manual_seed(0))

    watched = trained(
        tmp_path / "watched", callbacks=Telling(look=look).callbacks, encoder="universal", checkpoint_every=1
    )
    assert_same_model(watched, trained(tmp_path / "alone", encoder="universal", checkpoint_every=1))


@pytest.mark.parametrize("labels", [0, 20])
def test_streamed_data_trains_to_the_same_bits(tmp_path, labels):
    def run(name, mib):
        table = {"data": {"max_resident_mib": mib, "labels": labels}}
        return trained(tmp_path / name, (ROWS, LABELS), config=table, prior="mixture")

    assert_same_model(run("resident", 100), run("streamed", 1e-5))


@pytest.mark.parametrize("size", [10, 1500], ids=["configuration", "first checkpoint"])
def test_a_run_that_a_full_disk_does_not_let_begin_leaves_nothing(tmp_path, files_up_to, size):
    with files_up_to(size), pytest.raises(RunError, match=r"cannot write .*File too large") as caught:
        trained(tmp_path / "a" / "run")
    assert caught.value.exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_a_run_below_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"cannot write .*run: Not a directory"):
        trained(tmp_path / "file" / "run")


@pytest.mark.parametrize(("capability", "told"), [("AVX2", True), ("AVX512", False)])
def test_a_precision_that_costs_time_on_this_cpu_is_told(monkeypatch, capability, told):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        aaeframe.train(ROWS, **SMALL, epochs=1, precision="bf16", keep=False)
    assert any("bf16 is several times slower than fp32" in str(it.message) for it in caught) == told
