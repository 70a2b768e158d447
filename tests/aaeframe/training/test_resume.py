"""A run killed anywhere and resumed ends with the same bits as one that was never stopped, in real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
import tomli_w
import torch

import aaeframe
from aaeframe.components.registry import Registry
from aaeframe.runs.start import resume
from aaeframe.storage.checkpoint import latest, read
from killing import CASES, EPOCHS, STEPS, differences, half_made, rows_of, table

MID_EPOCH_4 = 3 * STEPS + 4

DRIVER = """
import os, resource, signal, sys
from aaeframe.cli import main
from aaeframe.cli.progress import Lines

at, acts = int(sys.argv[1]), sys.argv[2].split(",")

def act():
    if acts[0] == "full":
        resource.setrlimit(resource.RLIMIT_FSIZE, (6000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    else:
        os.kill(os.getpid(), getattr(signal, acts.pop(0)))

def stepped(self, epoch, step):
    if step == at:
        act()
        sys.addaudithook(audited)

def audited(event, arguments):
    if event == "open" and acts and str(arguments[0]).endswith(".tmp/optimizer.safetensors"):
        act()

Lines.stepped = stepped
sys.argv = ["aaeframe", *sys.argv[3:]]
main()
"""
"""The command line, in which something happens to the process after the step `at`: a signal, or a full disk.

A second signal comes while the checkpoint after it is written, and so on.
"""


def process(*command):
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    return subprocess.run([*map(str, command)], env=environment, capture_output=True, text=True, timeout=300)


def driven(at, act, *arguments):
    return process(sys.executable, "-c", DRIVER, at, act, "train", *arguments)


def command_line(*arguments):
    return process(Path(sysconfig.get_path("scripts")) / "aaeframe", *arguments)


@pytest.fixture
def config(tmp_path):
    """Writes the configuration of a case to a file."""

    def write(case):
        path = tmp_path / f"{case}.toml"
        path.write_text(tomli_w.dumps(table(case)))
        return path

    return write


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The run of a case, trained without a stop."""
    runs = {}

    def train(case):
        if case not in runs:
            out = tmp_path_factory.mktemp("whole") / "run"
            runs[case] = aaeframe.train("digits", config=table(case), out=out).folder.path
        return runs[case]

    return train


def in_process(run):
    return resume(run, Registry.load())


@pytest.mark.parametrize(
    "case", [case if case == "plain" else pytest.param(case, marks=pytest.mark.slow) for case in CASES]
)
def test_killed_within_an_epoch_and_resumed_it_ends_with_the_same_bits(tmp_path, config, whole, case):
    run = tmp_path / "run"
    killed = driven(MID_EPOCH_4, "SIGKILL", "--config", config(case), "--out", run)
    assert killed.returncode == -signal.SIGKILL
    assert latest(run / "checkpoints").name == f"step-{2 * STEPS:08d}"
    assert len(rows_of(run)) == 3, "one row past the checkpoint"
    assert in_process(run).finished
    assert differences(run, whole(case)) == []


@pytest.mark.slow
def test_killed_twice_and_resumed_by_the_command_line_it_ends_with_the_same_bits(tmp_path, config, whole):
    run = tmp_path / "run"
    killed = driven(3, "SIGKILL", "--config", config("plain"), "--out", run)
    assert killed.returncode == -signal.SIGKILL
    assert rows_of(run) == []
    killed = driven(MID_EPOCH_4, "SIGKILL", "--resume", run)
    assert killed.returncode == -signal.SIGKILL
    assert len(rows_of(run)) == 3
    resumed = command_line("train", "--resume", run)
    assert resumed.returncode == 0, resumed.stderr
    assert f"epoch {EPOCHS}/{EPOCHS}" in resumed.stderr
    assert "epoch 2/" not in resumed.stderr
    assert "no longer bitwise" not in resumed.stderr
    assert "Reconstruction" in resumed.stdout
    assert differences(run, whole("plain")) == []


@pytest.mark.slow
@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_asked_to_stop_it_saves_where_it_is_and_says_how_to_go_on(tmp_path, config, whole, name, code):
    run = tmp_path / "run"
    stopped = driven(STEPS + 3, name, "--config", config("moving average"), "--out", run)
    assert stopped.returncode == code
    told = [line for line in stopped.stderr.splitlines() if line.startswith("stop")]
    assert told == [
        "stopping after this step; Ctrl-C again to stop at once",
        f"stopped; resume with: aaeframe train --resume {run}",
    ]
    assert "Traceback" not in stopped.stderr
    saved = latest(run / "checkpoints")
    assert saved.name == f"step-{STEPS + 3:08d}"
    assert read(saved).state["summed_steps"] == 3, "the unfinished epoch's sums"
    assert len(rows_of(run)) == 1
    in_process(run)
    assert differences(run, whole("moving average")) == []


@pytest.mark.slow
def test_a_second_interrupt_leaves_at_once_the_checkpoint_that_was_being_written_absent(tmp_path, config, whole):
    run = tmp_path / "run"
    left = driven(MID_EPOCH_4, "SIGINT,SIGINT", "--config", config("plain"), "--out", run)
    assert left.returncode == 130
    assert left.stderr.splitlines()[-1] == f"stopped; resume with: aaeframe train --resume {run}"
    assert "Traceback" not in left.stderr
    assert latest(run / "checkpoints").name == f"step-{2 * STEPS:08d}"
    assert half_made(run) == []
    assert list(run.rglob(".*")) == []
    in_process(run)
    assert differences(run, whole("plain")) == []


@pytest.mark.slow
def test_a_second_request_of_a_scheduler_does_not_spoil_the_first(tmp_path, config, whole):
    run = tmp_path / "run"
    stopped = driven(MID_EPOCH_4, "SIGTERM,SIGTERM", "--config", config("plain"), "--out", run)
    assert stopped.returncode == 143
    assert latest(run / "checkpoints").name == f"step-{MID_EPOCH_4:08d}"
    in_process(run)
    assert differences(run, whole("plain")) == []


@pytest.mark.slow
def test_a_full_disk_leaves_the_last_checkpoint_and_a_run_that_can_go_on(tmp_path, config, whole):
    run = tmp_path / "run"
    refused = driven(2 * STEPS + 1, "full", "--config", config("plain"), "--out", run)
    assert refused.returncode == 2
    assert f"error: cannot write {run / 'checkpoints' / 'step-00000024'}: File too large" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == ["step-00000000", "step-00000012"]
    in_process(run)
    assert differences(run, whole("plain")) == []
