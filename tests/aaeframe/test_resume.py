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
from safetensors.torch import load_file

import aaeframe
from aaeframe.checkpoint import latest, read
from aaeframe.metrics import MetricsFile
from aaeframe.registry import Registry
from aaeframe.run import resume

EPOCHS, STEPS = 5, 6
"""Of each run on digits, of which 1,257 are for training, in batches of 200. A checkpoint every second epoch."""
MID_EPOCH_4 = 3 * STEPS + 4

SMALL = {"network": "mlp(hidden=[16])", "discriminator": "mlp(hidden=[16])"}
TRAINING = {"epochs": EPOCHS, "batch_size": 200, "checkpoint_every": 2, "device": "cpu"}
CASES = {
    "plain": {"prior": "gaussian"},
    "moving average": {"prior": "gaussian", "training": {"ema": 0.9}},
    "bf16": {"prior": "gaussian", "training": {"precision": "bf16"}},
    "labels": {"prior": "mixture", "data": {"labels": 100}, "training": {"batch_size": 190}},
    "joint": {"prior": "categorical+gaussian", "training": {"schedule": "joint", "ema": 0.9}},
    "universal, momentum": {
        "prior": "swissroll",
        "encoder": "universal(hidden=[16])",
        "training": {"input_noise": 0.1},
        "optimizers": {"generator": "sgd(lr=0.01)"},
    },
}

DRIVER = """
import os, resource, signal, sys
from aaeframe.cli import main
from aaeframe.cli.progress import Lines

at, act = int(sys.argv[1]), sys.argv[2]

def stepped(self, epoch, step):
    if step == at and act == "full":
        resource.setrlimit(resource.RLIMIT_FSIZE, (6000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    elif step == at:
        os.kill(os.getpid(), getattr(signal, act))

Lines.stepped = stepped
sys.argv = ["aaeframe", *sys.argv[3:]]
main()
"""
"""The command line, in which something happens to the process after the step `at`: a signal, or a full disk."""


def process(*command):
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    return subprocess.run([*map(str, command)], env=environment, capture_output=True, text=True, timeout=300)


def driven(at, act, *arguments):
    return process(sys.executable, "-c", DRIVER, at, act, "train", *arguments)


def command_line(*arguments):
    return process(Path(sysconfig.get_path("scripts")) / "aaeframe", *arguments)


def table(case):
    changed = CASES[case]
    return {**SMALL, **changed, "training": {**TRAINING, **changed.get("training", {})}}


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


def rows_of(run):
    times = ("seconds", "steps_per_second")
    rows = MetricsFile(run / "metrics.jsonl").rows()
    return [{key: value for key, value in row.items() if key not in times} for row in rows]


def assert_same_bits(run, other):
    """Weights, their average, optimizers, random state, sums and metrics of two finished runs."""
    mine, theirs = latest(run / "checkpoints"), latest(other / "checkpoints")
    assert mine.name == theirs.name == f"step-{EPOCHS * STEPS:08d}"
    for file in ("model.safetensors", "optimizer.safetensors"):
        first, second = load_file(mine / file), load_file(theirs / file)
        assert first.keys() == second.keys()
        assert [name for name in first if not torch.equal(first[name], second[name])] == []
    assert rows_of(run) == rows_of(other)
    assert len(rows_of(run)) == EPOCHS


def in_process(run):
    return resume(run, Registry.load())


@pytest.mark.parametrize("case", CASES)
def test_killed_within_an_epoch_and_resumed_it_ends_with_the_same_bits(tmp_path, config, whole, case):
    run = tmp_path / "run"
    killed = driven(MID_EPOCH_4, "SIGKILL", "--config", config(case), "--out", run)
    assert killed.returncode == -signal.SIGKILL
    assert latest(run / "checkpoints").name == f"step-{2 * STEPS:08d}"
    assert len(rows_of(run)) == 3, "one row past the checkpoint"
    assert in_process(run).finished
    assert_same_bits(run, whole(case))


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
    assert_same_bits(run, whole("plain"))


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_asked_to_stop_it_saves_where_it_is_and_says_how_to_go_on(tmp_path, config, whole, name):
    run = tmp_path / "run"
    stopped = driven(STEPS + 3, name, "--config", config("moving average"), "--out", run)
    assert stopped.returncode == 130
    told = [line for line in stopped.stderr.splitlines() if line.startswith("stop")]
    assert told == [
        "stopping after this step; Ctrl-C again to stop at once",
        f"stopped; go on with: aaeframe train --resume {run}",
    ]
    assert "Traceback" not in stopped.stderr
    saved = latest(run / "checkpoints")
    assert saved.name == f"step-{STEPS + 3:08d}"
    assert read(saved).state["summed_steps"] == 3, "the unfinished epoch's sums"
    assert len(rows_of(run)) == 1
    in_process(run)
    assert_same_bits(run, whole("moving average"))


def test_a_full_disk_leaves_the_last_checkpoint_and_a_run_that_can_go_on(tmp_path, config, whole):
    run = tmp_path / "run"
    refused = driven(2 * STEPS + 1, "full", "--config", config("plain"), "--out", run)
    assert refused.returncode == 2
    assert f"error: cannot write {run / 'checkpoints' / 'step-00000024'}: File too large" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == ["step-00000000", "step-00000012"]
    in_process(run)
    assert_same_bits(run, whole("plain"))
