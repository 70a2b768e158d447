"""`aaeframe evaluate --likelihood` in two processes that a launcher starts, on this machine."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow  # a launch takes longer than the work
SAMPLES = 25_000  # two chunks and a half


def launch(*arguments):
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*launcher, "-m", "aaeframe", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=500)


def test_two_processes_give_the_estimate_of_one_and_the_first_alone_writes(done, run):
    command = ("evaluate", run, "--likelihood", "--samples", SAMPLES, "--device", "cpu", "--json")
    one = done(*command).json["likelihood"]
    (run / "evaluation.json").unlink()
    (run / "test_accesses.jsonl").unlink()
    both = launch(*command)
    assert both.returncode == 0, both.stderr
    found = json.loads(both.stdout)["likelihood"]
    for name in ("log_likelihood", "standard_error", "validation_log_likelihoods"):
        assert found.pop(name) == pytest.approx(one.pop(name), abs=1e-9)
    assert found | {"seconds": 0} == one | {"seconds": 0}
    stored = json.loads((run / "evaluation.json").read_text())
    assert [it for it in stored if "likelihood" in it] == [f"test likelihood, {SAMPLES} samples"]
    accesses = [json.loads(it)["purpose"] for it in (run / "test_accesses.jsonl").read_text().splitlines()]
    assert accesses == ["evaluate", f"likelihood, {SAMPLES} samples"] or accesses == accesses[::-1]
    assert list((run / "likelihood").iterdir()) == []


def test_several_processes_without_the_likelihood_are_refused(run):
    found = launch("evaluate", run)
    assert found.returncode != 0
    assert "2 processes share the samples of --likelihood, which is not given; add it" in found.stderr
