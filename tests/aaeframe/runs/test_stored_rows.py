"""Training on rows that stay in files: the bits of rows in memory, resuming, errors, and what is left of it."""

from __future__ import annotations

import threading

import numpy as np
import pooch
import pytest
from small_runs import LABELS, ROWS, Telling, assert_same_model, command, trained

import aaeframe
from aaeframe.components.registry import Registry
from aaeframe.data import sources
from aaeframe.errors import CheckpointError, DataError
from aaeframe.runs.start import resume

MANY = np.concatenate([ROWS, ROWS[::-1] + 0.5, ROWS * 1.5, ROWS - 1])
"""400 rows, of which 320 are for training: 16 steps an epoch."""
SMALL_WINDOWS = {"data": {"window_mib": 60 * 32 / 2**20}}
"""60 rows of 32 bytes."""


class Source:
    """Rows in chunks of 30, which can be read `reads` times."""

    shape, dtype, fingerprint = ROWS.shape, ROWS.dtype, None
    bounds = (0, 30, 60, 90, 100)

    def __init__(self, reads=10**6):
        self.reads = reads

    def read(self, chunk):
        self.reads -= 1
        if self.reads < 0:
            raise DataError("the disk is gone: row group 2 cannot be read")
        return ROWS[self.bounds[chunk] : self.bounds[chunk + 1]]


@pytest.fixture(autouse=True)
def _cache(monkeypatch, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setattr(pooch, "os_cache", lambda project: folder / project)


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch):
    monkeypatch.setattr(sources, "CHUNK_BYTES", 20 * 32)
    monkeypatch.setattr("aaeframe.data.readers.npy.CHUNK_BYTES", 20 * 32)
    yield
    assert not [it for it in threading.enumerate() if it.name.startswith("aaeframe-rows")]


def shards(folder, *, files=4):
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    for i, part in enumerate(np.array_split(MANY, files)):
        np.save(folder / f"part-{i}.npy", part)
    return folder


@pytest.mark.parametrize("memory", [2048, 1e-5], ids=["resident", "read ahead"])
@pytest.mark.parametrize(
    "given",
    [
        {},
        {"labels": 20, "prior": "mixture"},
        {"labels": "all", "recipe": "semi-supervised", "prior": "categorical(classes=10)+gaussian"},
        {"recipe": "supervised"},
    ],
    ids=["unlabeled", "few labels", "all labels", "supervised"],
)
def test_one_window_trains_to_the_bits_of_rows_in_memory(tmp_path, given, memory):
    table = {"data": {"max_resident_mib": memory}}
    stored = trained(tmp_path / "stored", (Source(), LABELS), config=table, **given)
    assert_same_model(stored, trained(tmp_path / "memory", (ROWS, LABELS), **given))


def test_more_windows_are_another_order(tmp_path):
    data = shards(tmp_path / "data")
    run = trained(tmp_path / "windows", data, config=SMALL_WINDOWS)
    other = trained(tmp_path / "one", data)
    assert run.weights_digest() != other.weights_digest()
    assert run.metrics[0]["mean_image_error"] == other.metrics[0]["mean_image_error"]


@pytest.mark.slow
@pytest.mark.parametrize("stops", [(3,), (5, 7, 9)])
def test_a_run_resumes_to_the_same_bits(tmp_path, stops):
    data = shards(tmp_path / "data")
    whole = trained(tmp_path / "whole", data, config=SMALL_WINDOWS)
    run = trained(tmp_path / "run", data, config=SMALL_WINDOWS, callbacks=Telling(stops[0]).callbacks)
    for stop in (*stops[1:], None):
        assert not run.finished
        run = resume(run.folder.path, Registry.load(), callbacks=Telling(stop).callbacks)
    assert run.finished
    assert_same_model(run, whole)


def test_other_shards_of_the_same_rows_are_refused_on_resuming(tmp_path):
    data = shards(tmp_path / "data")
    run = trained(tmp_path / "run", data, config=SMALL_WINDOWS, callbacks=Telling(3).callbacks)
    shards(data, files=3)
    with pytest.raises(CheckpointError, match=r"other row groups or shards, or another data.window_mib"):
        aaeframe.resume(run.folder.path)


@pytest.mark.slow
def test_other_shards_in_one_window_are_resumed(tmp_path):
    data, one = shards(tmp_path / "data"), {"data": {"max_resident_mib": 1e-5}}
    run = trained(tmp_path / "run", data, config=one, callbacks=Telling(3).callbacks)
    whole = trained(tmp_path / "whole", data, config=one)
    shards(data, files=3)
    assert_same_model(aaeframe.resume(run.folder.path), whole)


def test_other_values_are_the_reason_to_refuse_before_their_order(tmp_path):
    data = shards(tmp_path / "data")
    run = trained(tmp_path / "run", data, config=SMALL_WINDOWS, callbacks=Telling(3).callbacks)
    np.save(shards(data, files=3) / "part-3.npy", MANY)
    with pytest.raises(CheckpointError, match=r"so far: 640 training rows where there were 320"):
        aaeframe.resume(run.folder.path)


def test_an_error_of_reading_ends_the_training_in_its_words(tmp_path):
    with pytest.raises(DataError, match="the disk is gone: row group 2 cannot be read"):
        trained(tmp_path / "run", Source(reads=9), config={"data": {"window_mib": 40 * 32 / 2**20}})


@pytest.mark.slow
def test_a_run_is_used_on_rows_that_stay_in_files(tmp_path, monkeypatch, capsys):
    run = trained(tmp_path / "run", shards(tmp_path / "data"), config=SMALL_WINDOWS, prior="gaussian(size=2)")
    np.save(tmp_path / "x.npy", MANY)
    for name in ("encode", "score", "reconstruct"):
        for source in ("data", "x.npy"):
            out = tmp_path / f"{name}-{source}.npz"
            code, error = command(monkeypatch, capsys, name, run.folder.path, "--data", tmp_path / source, "--out", out)
            assert code == 0, error
        with np.load(tmp_path / f"{name}-data.npz") as found, np.load(tmp_path / f"{name}-x.npy.npz") as known:
            assert found.files == known.files
            for key in known.files:
                np.testing.assert_array_equal(found[key], known[key])
    code, error = command(
        monkeypatch, capsys, "encode", run.folder.path, "--out", tmp_path / "all.npy", "--split", "all"
    )
    assert code == 0, error
    np.testing.assert_array_equal(np.load(tmp_path / "all.npy"), run.encode(MANY)["gaussian"])


def test_a_folder_of_damaged_shards_is_the_users_to_fix(tmp_path, monkeypatch, capsys):
    data = shards(tmp_path / "data")
    (data / "part-2.npy").write_bytes((data / "part-2.npy").read_bytes()[:500])
    code, error = command(monkeypatch, capsys, "train", "--data", data, "--out", tmp_path / "run")
    assert code == 2
    assert "part-2.npy: the header declares (100, 4) float64, only" in error
    assert not (tmp_path / "run").exists()
