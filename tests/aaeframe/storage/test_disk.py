"""A disk that is full, a folder that is read-only, removed or moved under a run: told in words, and nothing is lost."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch

import aaeframe
from aaeframe.components.registry import Registry
from aaeframe.data import from_arrays
from aaeframe.errors import RunError
from aaeframe.runs.start import resume
from aaeframe.storage.checkpoint import latest, paths, read
from aaeframe.storage.metrics_file import MetricsFile
from aaeframe.storage.run_folder import RunFolder

ROWS = np.random.default_rng(0).normal(size=(1000, 4)).astype(np.float32)
EPOCHS, STEPS = 4, 4
"""The epochs, and steps of an epoch, of each run: 800 training rows in batches of 200, a checkpoint every second
epoch."""
SMALL = {
    "network": "mlp(hidden=[8])",
    "discriminator": "mlp(hidden=[8])",
    "epochs": EPOCHS,
    "batch_size": 200,
    "checkpoint_every": 2,
    "device": "cpu",
}


class At:
    """Does something at one step of a training."""

    def __init__(self, step, act, *, stop=False):
        self.step, self.act, self.stop = step, act, stop

    def stepped(self, step, losses):
        if step == self.step:
            self.act()
            if self.stop:
                raise aaeframe.StopRun


def rows_of(run):
    times = ("seconds", "steps_per_second")
    rows = MetricsFile(run / "metrics.jsonl").rows()
    return [{key: it for key, it in row.items() if key not in times} for row in rows]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nothing befell."""
    return aaeframe.train(ROWS, out=tmp_path_factory.mktemp("runs") / "run", **SMALL).folder.path


@pytest.fixture
def ends_with_the_same_bits(whole):
    """Goes on with a run, which must end as the whole one."""

    def check(run):
        resume(run, Registry.load(), dataset=from_arrays(ROWS))
        mine, theirs = read(latest(run / "checkpoints")), read(latest(whole / "checkpoints"))
        for part in ("model", "optimizer"):
            first, second = getattr(mine, part), getattr(theirs, part)
            assert first.keys() == second.keys()
            assert [name for name in first if not torch.equal(first[name], second[name])] == []
        assert rows_of(run) == rows_of(whole)
        assert [path.name for path in run.rglob("*.tmp")] == []

    return check


def largest(folder):
    return max(path.stat().st_size for path in folder.iterdir())


@pytest.mark.parametrize("file", ["metrics.jsonl", "checkpoints/step-00000016"])
def test_a_disk_that_fills_up_under_a_run(tmp_path, whole, files_up_to, ends_with_the_same_bits, file):
    """In the fourth epoch: either its row finds no room, or, where the row is smaller, the checkpoint."""
    run, row = tmp_path / "run", (whole / "metrics.jsonl").stat().st_size
    size = row - 50 if file == "metrics.jsonl" else largest(latest(whole / "checkpoints")) // 2
    assert file == "metrics.jsonl" or size > row
    full = files_up_to(size)
    try:
        with pytest.raises(RunError, match=rf"cannot write .*{file}: File too large.*free space") as caught:
            aaeframe.train(ROWS, out=run, observers=[At(3 * STEPS + 1, full.__enter__)], **SMALL)
    finally:
        full.__exit__(None, None, None)
    assert f"The run was saved up to step-00000008; resume it with aaeframe train --resume {run}" in str(caught.value)
    assert caught.value.exit_code == 2
    assert len(rows_of(run)) == (3 if file == "metrics.jsonl" else 4)
    assert (run / "metrics.jsonl").read_bytes().endswith(b"\n"), "whole rows"
    ends_with_the_same_bits(run)


@pytest.mark.parametrize("stop", [False, True], ids=["at the end of the epoch", "at a stop"])
def test_a_folder_that_is_moved_under_a_run(tmp_path, ends_with_the_same_bits, stop):
    run, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    moved = At(3 * STEPS + 1, lambda: run.rename(elsewhere), stop=stop)
    with pytest.raises(RunError, match=rf"There is no folder {run}: if it was removed or moved meanwhile"):
        aaeframe.train(ROWS, out=run, observers=[moved], **SMALL)
    assert not run.exists()
    assert paths(elsewhere / "checkpoints")[-1].name == "step-00000008"
    ends_with_the_same_bits(elsewhere)


def test_a_folder_that_is_removed_under_a_run_leaves_nothing_behind(tmp_path):
    run = tmp_path / "run"
    with pytest.raises(RunError, match=rf"There is no folder {run}.* There is nothing left to resume from in {run}"):
        aaeframe.train(ROWS, out=run, observers=[At(6, lambda: shutil.rmtree(run), stop=True)], **SMALL)
    assert list(tmp_path.iterdir()) == []


def test_checkpoints_that_are_removed_under_a_run_are_written_anew(tmp_path, whole):
    run = tmp_path / "run"
    aaeframe.train(ROWS, out=run, observers=[At(6, lambda: shutil.rmtree(run / "checkpoints"))], **SMALL)
    assert [path.name for path in paths(run / "checkpoints")] == ["step-00000008", "step-00000016"]
    assert rows_of(run) == rows_of(whole)


def test_a_line_of_test_accesses_is_written_whole_or_not_at_all(tmp_path, files_up_to):
    folder = RunFolder(tmp_path)
    folder.log_test_access({"purpose": "evaluate"})
    before = folder.test_accesses.read_bytes()
    with files_up_to(len(before) + 10), pytest.raises(RunError, match=r"cannot write .*test_accesses.jsonl: File too"):
        folder.log_test_access({"purpose": "evaluate"})
    assert folder.test_accesses.read_bytes() == before


COMMANDS = """
import sys
from aaeframe.cli import main

for command in sys.argv[1].splitlines():
    sys.argv = ["aaeframe", *command.split(" ")]
    try:
        main()
    except SystemExit as ended:
        print(f"{command.split(' ')[0]}: {ended.code or 0}", file=sys.stderr, flush=True)
"""
"""One command line after another, with the exit code of each on standard error."""


def told_by(before, *commands):
    return subprocess.run(
        [*before, sys.executable, "-c", COMMANDS, "\n".join(commands)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    ).stderr


def content(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_a_run_that_is_read_only_is_refused_or_read_and_stays_as_it_is(
    tmp_path, ends_with_the_same_bits, bound_by_permissions
):
    np.save(tmp_path / "rows.npy", ROWS)
    run = tmp_path / "run"
    with pytest.warns(UserWarning, match="ended the run, at step 6 of 16"):
        aaeframe.train(tmp_path / "rows.npy", out=run, observers=[At(6, lambda: None, stop=True)], **SMALL)
    before, folders = content(run), [path for path in (run, *run.rglob("*")) if path.is_dir()]
    for folder in folders:
        folder.chmod(0o555)
    told = told_by(
        bound_by_permissions,
        f"train --resume {run}",
        f"train --data {tmp_path / 'rows.npy'} --out {run}/inside --epochs 1",
        f"evaluate {run} --split validation",
        f"sample {run} --count 2 --out {tmp_path}/samples.npz",
        f"sample {run} --count 2",
        f"figures {run}",
        f"figures {run} --out {tmp_path}/figures",
        f"evaluate {run} --out {tmp_path}/report.json --likelihood --samples 20",
    )
    for folder in folders:
        folder.chmod(0o755)
    assert f"cannot write {run}/training.lock: Permission denied" in told
    assert f"cannot write {run}/inside: Permission denied" in told
    assert told.count(f"{run} is read-only, and the result would be written there; name another place by --out") == 3
    assert told.count("fix the permissions") == 2
    for purpose in ("figures", "evaluate", "likelihood, 20 samples"):
        assert f"test rows are used ({purpose}, step 6), which read-only {run}/test_accesses.jsonl cannot count" in told
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["test"]["step"], report["likelihood"]["samples"]) == (6, 20)
    assert list((tmp_path / "figures").glob("*.png"))
    assert "Traceback" not in told
    codes = [line for line in told.splitlines() if line[-3:] in (": 0", ": 2")]
    refused = ["train: 2", "train: 2", "evaluate: 2"]
    assert codes == [*refused, "sample: 0", "sample: 2", "figures: 2", "figures: 0", "evaluate: 0"]
    assert content(run) == before
    ends_with_the_same_bits(run)
