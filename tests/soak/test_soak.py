"""The soaks in a form that a test suite can afford; the long ones are the scripts beside, with their records."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import aaeframe
from killing import differences, half_made, table

HERE = Path(__file__).parent


def soaked(script, *arguments, timeout=500, codes=(0,), **environment):
    """The lines of a script's record. Its exit code must say that all is well, unless `codes` allows others."""
    command = [sys.executable, HERE / script, *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=timeout)
    assert ended.returncode in codes, ended.stdout + ended.stderr
    assert ended.stdout, ended.stderr
    return [json.loads(line) for line in ended.stdout.splitlines()]


@pytest.mark.slow
def test_runs_killed_at_random_moments_and_resumed_end_with_the_same_bits():
    *runs, last = soaked("kill.py", "--runs", 4, "--seed", 3)
    assert all(run["equal"] for run in runs)
    assert last["sums"]["runs_killed"] == 4


@pytest.mark.slow
def test_launches_whose_processes_are_killed_end_with_the_same_bits():
    """With a moving average, beside which there is all of a plain run. The seed is meant to kill one launch three
    times: while it trains, as it starts again, and later; both ranks."""
    *launches, last = soaked("ranks.py", "--kills", 3, "--seed", 160, "--case", "moving average")
    assert all(launch["equal"] for launch in launches)
    assert last["sums"]["kills"] >= 3


@pytest.mark.slow
@pytest.mark.timeout(1800)  # a minute or two of one core, and more where the machine is busy
def test_twenty_thousand_steps_take_the_memory_of_one_thousand():
    (record,) = soaked("memory.py", "--steps", 20_000, timeout=1700)
    assert record["steps"] >= 20_000
    assert record["growth_mib"] < 20


@pytest.mark.slow
def test_using_a_run_takes_no_more_memory_for_more_rows():
    # By itself glibc moves the size from which on it gives memory back at once, which alone is 15 MiB more or less.
    (told,) = soaked("streaming.py", MALLOC_MMAP_THRESHOLD_="65536")
    more = {work: many - few for work, (few, many) in told.items()}
    assert set(more) == {"encode", "evaluate", "reconstruct", "sample"}
    # All the rows more would be 112 MiB in float32 where results are small, and 34 where all that is decoded is
    # written; of the file that is read for the latter 9 MiB more are mapped, which counts as memory.
    assert max(more["encode"], more["evaluate"]) < 56
    assert max(more["reconstruct"], more["sample"]) < 17


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_rows_in_files_take_the_memory_of_two_windows(tmp_path):
    small = {"--sizes": (0.4, 0.8), "--window": (64,), "--steps": (700,), "--folder": (tmp_path / "rows",)}
    options = [it for name, values in small.items() for it in (name, *values)]
    # Code 1 says that the sizes differ by over 5 %: meant for windows of 512 MiB, and 8 MiB of these.
    (record,) = soaked("../../benchmarks/rows.py", "memory", "--npy", *options, timeout=1100, codes=(0, 1))
    found = [it["above_model_mib_again"] for it in record["sizes"].values()]
    # Two windows are 128 MiB. The rest is what Python, NumPy and the allocator keep.
    assert max(found) < 300
    assert abs(found[0] - found[1]) < 30


# What the soak rests on: it sees what is not equal, and what is half made.


@pytest.fixture
def finished(tmp_path):
    return aaeframe.train("digits", config=table("plain"), out=tmp_path / "run").folder.path


def test_runs_that_differ_are_told_apart(finished, tmp_path):
    assert differences(finished, finished) == []
    other = table("plain")
    other["training"]["seed"] = 1
    found = differences(aaeframe.train("digits", config=other, out=tmp_path / "other").folder.path, finished)
    assert "metrics.jsonl" in found
    assert any(it.startswith("model.safetensors: model.encoder") for it in found)
    assert any(it.startswith("optimizer.safetensors: optimizer.generator") for it in found)


@pytest.mark.parametrize("file", ["config.toml", "checkpoints/step-00000024/optimizer.safetensors"])
def test_what_is_half_made_is_told(finished, file):
    assert half_made(finished) == []
    (finished / file).unlink()
    assert len(half_made(finished)) == 1
    shutil.rmtree(finished)
    assert half_made(finished) == []
