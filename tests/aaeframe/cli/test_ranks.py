"""`aaeframe evaluate --likelihood` in two processes that a launcher starts, on this machine."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow  # a launch takes longer than the work
SAMPLES = 25_000  # two chunks and a half, of which the second process has the last two
KILLED_ONCE = """
import os, signal
from pathlib import Path
from aaeframe.cli import main
from aaeframe.evaluation import likelihood
likelihood.KEEP_EVERY = -1.0
rows, restarts = likelihood.Decoded.rows, os.environ["TORCHELASTIC_RESTART_COUNT"]

def kills(self, start, stop):
    if restarts == "0" and start == 20_000:
        os.kill(os.getpid(), signal.SIGKILL)
    with Path(__file__).with_name(f"reads-{os.environ['RANK']}-{restarts}").open("a") as file:
        print(start, file=file)
    return rows(self, start, stop)

likelihood.Decoded.rows = kills
main()
"""


def launch(*arguments):
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    return subprocess.run([*launcher, *map(str, arguments)], capture_output=True, text=True, timeout=500)


def test_two_processes_one_of_them_killed_give_the_estimate_of_one(done, run, tmp_path):
    """The first process alone writes, and the killed one goes on from the samples that it had seen."""
    command = ("evaluate", run, "--likelihood", "--samples", SAMPLES, "--device", "cpu", "--json")
    one = done(*command).json["likelihood"]
    (run / "evaluation.json").unlink()
    (run / "test_accesses.jsonl").unlink()
    (tmp_path / "killed_once.py").write_text(KILLED_ONCE)
    both = launch("--max-restarts", 1, tmp_path / "killed_once.py", *command)
    assert both.returncode == 0, both.stderr
    reads = {it.name: it.read_text().split() for it in tmp_path.glob("reads-*")}
    assert (reads["reads-1-0"], reads["reads-1-1"][0]) == (["10000"], "20000")
    found = json.loads(both.stdout)["likelihood"]
    for name in ("log_likelihood", "standard_error", "validation_log_likelihoods"):
        assert found.pop(name) == pytest.approx(one.pop(name), abs=1e-9)
    assert found | {"seconds": 0} == one | {"seconds": 0}
    stored = json.loads((run / "evaluation.json").read_text())
    assert [it for it in stored if "likelihood" in it] == [f"test likelihood, {SAMPLES} samples"]
    accesses = [json.loads(it)["purpose"] for it in (run / "test_accesses.jsonl").read_text().splitlines()]
    assert set(accesses) == {"evaluate", f"likelihood, {SAMPLES} samples"}
    assert list((run / "likelihood").iterdir()) == []


def test_several_processes_without_the_likelihood_are_refused(run):
    found = launch("-m", "aaeframe", "evaluate", run)
    assert found.returncode != 0
    assert "2 processes share the samples of --likelihood, which is not given; add it" in found.stderr
