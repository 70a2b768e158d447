from __future__ import annotations

import errno
import fcntl
import os
import platform
import shutil
import subprocess
import sys

import numpy as np
import pytest

import aaeframe
from aaeframe.components.registry import Registry
from aaeframe.errors import RunError
from aaeframe.runs.loading import load
from aaeframe.runs.start import resume
from aaeframe.storage.locks import lock, training_lock, try_lock

HOLD = """
import sys
from pathlib import Path
from aaeframe.storage.locks import try_lock
with try_lock(Path(sys.argv[1])) as mine:
    print(mine, flush=True)
    sys.stdin.read()
"""


def test_a_run_is_of_one_process_until_that_lets_go_or_dies(tmp_path):
    run = tmp_path / "row/column/seed-0"
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(run)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with other:
        assert other.stdout.readline() == "True\n"
        with try_lock(run) as mine:
            assert not mine
        with try_lock(run.with_name("seed-1")) as mine:
            assert mine
        other.kill()
    with try_lock(run) as mine:
        assert mine
    assert not run.exists()


WAIT = """
import sys
from pathlib import Path
from aaeframe.storage.locks import lock
print("asks", flush=True)
with lock(Path(sys.argv[1])):
    print(Path(sys.argv[1]).read_text(), flush=True)
"""


def test_of_two_that_write_the_second_waits_for_the_first(tmp_path):
    path = tmp_path / "results"
    path.write_text("older")
    with lock(path):
        other = subprocess.Popen([sys.executable, "-c", WAIT, str(path)], stdout=subprocess.PIPE, text=True)
        assert other.stdout.readline() == "asks\n"
        path.write_text("newer")
    with other:
        assert other.stdout.read() == "newer\n"


def nothing(sentence):
    raise AssertionError(sentence)


@pytest.fixture
def run(tmp_path):
    """A folder as that of a run."""
    (tmp_path / "run").mkdir()
    return tmp_path / "run"


def refused(folder):
    with pytest.raises(RunError) as caught, training_lock(folder, nothing):
        raise AssertionError("not refused")
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_a_run_is_trained_by_one_and_leaves_no_trace_of_that(run):
    with training_lock(run, nothing):
        told = refused(run)
        assert told.startswith(f"{run} is already being trained by process {os.getpid()} on {platform.node()!r}. Wait")
        assert sorted(path.name for path in run.iterdir()) == ["training.lock", "training.owner.json"]
    with training_lock(run, nothing):
        pass
    assert list(run.iterdir()) == []


def test_by_another_path_it_is_the_same_run_and_a_copy_is_another(run):
    (run.parent / "link").symlink_to(run)
    with training_lock(run, nothing):
        refused(run.parent / "link")
        refused(run.parent / "link" / ".." / run.name)
        with training_lock(shutil.copytree(run, run.parent / "copy"), nothing):
            pass


@pytest.mark.parametrize("left", ["", "{", "[]", '{"process": 1, "host": "gone"}', "x" * 1000])
def test_a_file_that_was_left_behind_claims_nothing(run, left):
    for name in ("training.lock", "training.owner.json"):
        (run / name).write_text(left)
    with training_lock(run, nothing):
        assert f"process {os.getpid()} on" in refused(run)
    assert list(run.iterdir()) == []


@pytest.mark.parametrize("text", ["", "{", "[]", '{"process": "me"}'])
def test_who_has_not_signed_is_another_process(run, text):
    with training_lock(run, nothing):
        (run / "training.owner.json").write_text(text)
        assert f"{run} is already being trained by another process" in refused(run)


def test_what_is_claimed_is_the_file_that_is_there(run, monkeypatch):
    """Not one that who had it before removed between our opening it and our turn."""
    flock, removed = fcntl.flock, []

    def late(descriptor, operation):
        if not removed:
            removed.append((run / "training.lock").unlink())
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    with training_lock(run, nothing):
        refused(run)


def test_nothing_is_written_through_a_link(run):
    mine = run.parent / "mine"
    mine.write_text("mine")
    (run / "training.lock").symlink_to(mine)
    assert "cannot write" in refused(run)
    (run / "training.lock").unlink()
    (run / "training.owner.json").symlink_to(mine)
    with training_lock(run, nothing):
        assert f"process {os.getpid()} on" in refused(run)
    assert mine.read_text() == "mine"


def test_a_file_system_without_locks_is_told_of(run, monkeypatch):
    def none(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", none)
    told = []
    with training_lock(run, told.append):
        pass
    assert len(told) == 1
    assert "has no locks: another process could train this run at the same time" in told[0]
    assert list(run.iterdir()) == []


def test_a_folder_that_goes_away_takes_its_claim_along(run):
    with training_lock(run, nothing):
        shutil.rmtree(run)
        run.mkdir()
        with training_lock(run, nothing):
            pass
    assert list(run.iterdir()) == []


TRAIN = """
import sys
import aaeframe

class Waits:
    def stepped(self, step, losses):
        if step == 3:
            print("trains", file=sys.__stdout__, flush=True)
            sys.stdin.read()

aaeframe.train(
    sys.argv[1], out=sys.argv[2], observers=[Waits()], network="mlp(hidden=[8])", discriminator="mlp(hidden=[8])",
    epochs=2, batch_size=20, device="cpu",
)
"""


@pytest.mark.slow
def test_of_two_processes_that_train_one_run_the_second_is_refused(tmp_path):
    rows, run = tmp_path / "rows.npy", tmp_path / "run"
    np.save(rows, np.random.default_rng(0).normal(size=(100, 4)).astype(np.float32))
    registry = Registry.load()
    first = subprocess.Popen(
        [sys.executable, "-c", TRAIN, rows, run], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with first:
        assert first.stdout.readline() == "trains\n"
        before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
        with pytest.raises(RunError, match=rf"run is already being trained by process {first.pid} on .*\. Meanwhile"):
            resume(run, registry)
        with pytest.raises(RunError, match="exists already"):
            aaeframe.train(str(rows), out=run)
        assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
        reader = load(run)
        assert reader.step == 0
        assert reader.evaluate(split="validation")["step"] == 0
        first.kill()
    assert resume(run, registry).finished
    assert not list(run.glob("training.*"))
