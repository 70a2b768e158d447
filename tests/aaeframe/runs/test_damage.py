"""Checkpoints and metrics that were damaged: told of, set aside or trained again, never mistaken."""

from __future__ import annotations

import re
import shutil

import pytest
from small_runs import ROWS, STEPS, Telling, assert_same_model, command, content, resumed

from aaeframe.data import from_arrays
from aaeframe.errors import CheckpointError
from aaeframe.runs.loading import load
from aaeframe.runs.start import resume
from aaeframe.storage.checkpoint import latest, paths
from killing import rows_of

FILES = ["model.safetensors", "optimizer.safetensors", "state.json"]


def spoil(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("file", FILES)
def test_a_damaged_checkpoint_is_told_of_and_set_aside_and_the_bits_are_the_same(copy, long, registry, file):
    newest, told = latest(copy / "checkpoints"), Telling()
    spoil(newest / file)
    spoilt = content(newest)
    run = resumed(copy, registry, told)
    assert told.steps == STEPS
    assert_same_model(run, long)
    assert rows_of(run.folder.path) == rows_of(long.folder.path)
    assert content(latest(copy / "checkpoints")).keys() == spoilt.keys()
    assert_same_model(load(copy), long)
    damage, kept = told.warn
    assert damage.startswith(f"the checkpoint file {newest / file} cannot be used: ")
    assert damage.endswith("; step-00000012, the newest intact one, is used instead")
    assert kept == f"step-00000016 is kept as {newest.with_name('set-aside-step-00000016')}"
    assert content(newest.with_name("set-aside-step-00000016")) == spoilt


def test_from_python_what_is_worth_telling_is_a_warning(copy, long, registry):
    spoil(latest(copy / "checkpoints") / "model.safetensors")
    with pytest.warns(UserWarning, match="step-00000016") as told:
        assert_same_model(resume(copy, registry, dataset=from_arrays(ROWS)), long)
    damage, kept = (str(it.message) for it in told)
    assert damage.endswith("step-00000012, the newest intact one, is used instead")
    assert kept.startswith("step-00000016 is kept as")


def test_without_a_whole_checkpoint_each_is_told_of_and_nothing_touched(copy, registry):
    for path, file in zip(paths(copy / "checkpoints"), FILES, strict=False):
        (path / file).unlink()
    before = content(copy)
    with pytest.raises(CheckpointError) as caught:
        resumed(copy, registry, Telling())
    assert re.fullmatch(
        r"no checkpoint in .*/checkpoints can be used; restore one of them and its files from a copy, or train anew:\n"
        r"  .*/step-00000016/optimizer.safetensors cannot be used: No such file or directory\n"
        r"  .*/step-00000012/model.safetensors cannot be used: No such file or directory",
        str(caught.value),
    )
    assert content(copy) == before


@pytest.mark.parametrize("kept", [20, -1])
def test_rows_that_were_lost_are_trained_again_from_the_checkpoint_before_them(copy, long, registry, kept):
    metrics, told = copy / "metrics.jsonl", Telling()
    rows = metrics.read_bytes().splitlines(keepends=True)
    metrics.write_bytes(b"".join(rows[:3]) + rows[3][:kept])
    run = resumed(copy, registry, told)
    assert told.steps == STEPS
    assert_same_model(run, long)
    assert rows_of(run.folder.path) == rows_of(long.folder.path)
    assert "metrics.jsonl has" in told.warn[0]
    assert "rows were lost" in told.warn[0]


@pytest.mark.parametrize("kept", [0, 20])
def test_rows_that_no_checkpoint_can_do_without_are_an_error(copy, registry, kept):
    metrics = copy / "metrics.jsonl"
    metrics.write_bytes(metrics.read_bytes()[:kept])
    before = content(copy)
    with pytest.raises(CheckpointError, match=rf"(?s)and its files from a copy.*(has {kept} bytes, but .*lost.*){{2}}"):
        resumed(copy, registry, Telling())
    assert content(copy) == before


def test_numbers_are_never_of_an_older_checkpoint_than_the_newest(copy, monkeypatch, capsys):
    newest = latest(copy / "checkpoints")
    spoil(newest / "model.safetensors")
    before = content(copy)
    with pytest.raises(
        CheckpointError, match=rf"model.safetensors cannot be used: its SHA-256 .* train --resume {copy}"
    ):
        load(copy)
    for arguments in (["evaluate"], ["sample"], ["encode"], ["reconstruct"], ["figures"]):
        code, err = command(monkeypatch, capsys, *arguments, copy)
        assert code == 2
        assert "step-00000012 is intact, but would give other results" in err
        assert "Or remove step-00000016 to use it as it is" in err
    assert content(copy) == before
    shutil.rmtree(newest)
    assert load(copy).step == 3 * STEPS


@pytest.mark.parametrize("damage", ["truncated", "altered", "missing"])
def test_a_damaged_checkpoint_is_reported_without_a_traceback(monkeypatch, capsys, copy, damage):
    path = latest(copy / "checkpoints") / "optimizer.safetensors"
    data = path.read_bytes()
    spoil(path)
    if damage == "truncated":
        path.write_bytes(data[: len(data) // 2])
    if damage == "missing":
        path.unlink()
    code, err = command(monkeypatch, capsys, "sample", copy)
    assert code == 2
    assert err.startswith(f"error: the checkpoint file {path} cannot be used")
    assert "Traceback" not in err
    code, err = command(monkeypatch, capsys, "train", "--resume", copy)
    assert err.startswith(f"note: the checkpoint file {path} cannot be used")
    assert "error: this run was trained on data passed in from Python" in err
