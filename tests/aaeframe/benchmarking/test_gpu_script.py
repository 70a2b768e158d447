"""benchmarks/gpu.py without a GPU: what it would do, each check at a tiny size, and its guard of time."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from aaeframe.evaluation import likelihood

CPU = torch.device("cpu")
SCRIPTS = Path(__file__).parents[3] / "benchmarks"


@pytest.fixture
def gpu(script):
    return script("gpu")


@pytest.fixture
def checks(script):
    return script("gpu_checks")


@pytest.fixture
def timings(script):
    return script("gpu_timings")


def test_dry_lists_the_parts_and_does_nothing(gpu, capsys, tmp_path):
    out = tmp_path / "out.json"
    assert gpu.main(["--dry", "--out", str(out)]) == 0
    assert [line.partition(":")[0] for line in capsys.readouterr().out.splitlines()] == list(gpu.PARTS)
    assert not out.exists()


def test_without_a_gpu_it_says_so(gpu, monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu.main([]) == 2
    assert "no CUDA device" in capsys.readouterr().err


def test_parts_are_done_in_order_and_written_one_by_one(gpu, monkeypatch):
    def fail(device):
        raise RuntimeError("it broke")

    monkeypatch.setattr(gpu, "PARTS", {"a": gpu.Part("one", lambda device: {"x": 1}), "b": gpu.Part("two", fail)})
    written = []

    good = gpu.run(["a", "b"], CPU, 9, lambda state: written.append(json.loads(json.dumps(state))))

    assert not good
    assert written[0]["left_out"] == ["b"]
    assert written[1]["left_out"] == []
    assert written[1]["parts"]["a"]["found"] == {"x": 1}
    assert written[1]["parts"]["b"]["failed"] == "RuntimeError: it broke"


def test_after_the_time_no_part_begins_and_the_rest_is_recorded(gpu, monkeypatch, capsys):
    clock = iter([0, 1, 2, 541, *[542] * 9])
    monkeypatch.setattr(gpu.time, "monotonic", lambda: next(clock))
    parts = {name: gpu.Part(name, lambda device: {}) for name in ("a", "b", "c")}
    monkeypatch.setattr(gpu, "PARTS", parts)
    states = []

    assert gpu.run(list(parts), CPU, 9, states.append)

    assert list(states[-1]["parts"]) == ["a"]
    assert states[-1]["left_out"] == ["b", "c"]
    assert "left out: b, c" in capsys.readouterr().out


def test_an_alternative_that_failed_makes_the_run_fail(gpu):
    assert gpu.failures({"found": [{"failed": {"aaeframe": "wrong"}}]}) == ["wrong"]
    assert gpu.failures({"found": [{"failed": {}}]}) == []
    assert gpu.failures({"found": {"failed": {"no": "case"}}}) == []


def test_cases_are_chosen_by_name_and_shown(gpu, capsys):
    (report,) = gpu.cases("loss", "loss rows=16", quick=True)(CPU)
    gpu.show([report])
    assert "loss rows=16 width=32: aaeframe, few torch operations:" in capsys.readouterr().out
    assert gpu.cases("loss", "nothing", quick=True)(CPU) == []


def test_accuracy_against_float64(checks):
    found = checks.accuracy(CPU, rows=30, samples=200, precisions=("auto", "fp32"))
    assert found["fp32"]["paths"] == {"fp32": 200}
    assert set(found["auto"]["mean"]) == {"0.1", "0.15", "0.2", "0.3"}


def test_an_inaccurate_path_fails_its_part(checks, monkeypatch):
    right = checks.log_likelihood
    monkeypatch.setattr(checks, "log_likelihood", lambda *inputs: right(*inputs) + 0.02)
    with pytest.raises(checks.Failed, match=r"more than 0\.01 nats off in the mean: fp32"):
        checks.accuracy(CPU, rows=10, samples=20, precisions=("fp32",))


def test_a_full_float32_accumulator_has_no_bias(checks):
    found = checks.accumulator(CPU, widths=(64,), rows=64)["64"]
    assert abs(found["mean_away_from_zero"]) < 1e-5 * found["mean_magnitude"]
    assert found["std"] < 1e-5 * found["mean_magnitude"]


def test_tf32_verdicts(checks):
    before = torch.get_float32_matmul_precision()
    assert checks.tf32(CPU) == {"torch.mm": "not tf32"}
    assert torch.get_float32_matmul_precision() == before
    assert [checks.verdict(value) for value in (1.0, 1 + 2**-10, 7.0)] == ["truncated", "rounded", "unexpected: 7.0"]


def test_streaming_takes_every_sample_and_is_set_against_a_product(timings):
    found = timings.parzen_speed(CPU, rows=8, samples=60, chunks=(20, 10), precisions=("fp32",))
    fastest = min(found["fp16_product_seconds_by_chunk"].values())
    for chunk in (20, 10):
        ours = found[f"fp32, 20 bandwidths, chunks of {chunk}"]
        assert ours["to_product"] == pytest.approx(ours["seconds"] / fastest)
        assert ours["paths"]["fp32"] == 3 * 60 + chunk  # timed three times, and once before


def test_chunks_of_the_evaluation_are_measured_too(timings):
    chunks = inspect.signature(timings.parzen_speed).parameters["chunks"].default
    assert likelihood.CHUNK in chunks


def test_tests_that_fail_fail_their_part(checks, tmp_path):
    (tmp_path / "test_good.py").write_text("def test_it(): pass")
    assert "1 passed" in checks.kernel_tests(CPU, 100, [str(tmp_path)])["tail"]
    (tmp_path / "test_bad.py").write_text("def test_it(): assert False, 'for no reason'")
    with pytest.raises(checks.Failed, match="for no reason"):
        checks.kernel_tests(CPU, 100, [str(tmp_path)])


def test_tests_that_run_out_of_time_tell_which_ran(checks, monkeypatch):
    def stopped(command, timeout, **options):
        raise subprocess.TimeoutExpired(command, timeout, output=b"test_a PASSED\ntest_b ")

    monkeypatch.setattr(checks.subprocess, "run", stopped)
    with pytest.raises(checks.Failed, match=r"not done after 7 s(?s:.*)test_a PASSED"):
        checks.kernel_tests(CPU, 7)


@pytest.mark.parametrize(("left", "given"), [(500.0, 240.0), (90.0, 90.0)])
def test_the_tests_come_last_and_get_the_time_that_is_left(gpu, monkeypatch, left, given):
    assert list(gpu.PARTS)[-1] == "tests"
    part = replace(gpu.PARTS["tests"], find=lambda device, seconds: seconds)
    assert gpu.outcome(part, CPU, left)["found"] == given


def test_targets_are_told_and_recorded(gpu, capsys):
    part = gpu.Part("it", lambda device: 2, targets=lambda found: {"at most 1": found <= 1, "at most 3": found <= 3})
    assert gpu.outcome(part, CPU, 1)["targets"] == {"at most 1": False, "at most 3": True}
    assert capsys.readouterr().out.splitlines()[1:] == ["    target MISSED: at most 1", "    target met: at most 3"]


def test_targets_of_the_step(script):
    seconds = {"plain script fp32": 0.8e-3, "aaeframe fp32": 0.4e-3, "aaeframe bf16": 0.2e-3, "pythae fp32": 1.0}
    rows = [{"alternative": name, "seconds": value} for name, value in seconds.items()]
    assert script("gpu_targets").step_targets([{"rows": rows}]) == {
        "fp32: 0.400 ms, at most 0.30": False,
        "fp32: 2.00 times faster than eager, at least 3": False,
        "bf16: 0.200 ms, at most 0.30": True,
    }


def test_targets_of_the_likelihood(script):
    found = {"rows": 10, "fp16_product_seconds_by_chunk": {"5": 0.1}, "fp16": {"seconds": 0.2, "to_product": 2.0}}
    assert script("gpu_targets").parzen_targets(found) == {
        "fp16: 0.200 s, at most 0.30": True,
        "fp16: 2.00 of the fp16 product, at most 1.5": False,
    }


def test_the_parts_with_targets_are_those_of_the_plan(gpu):
    assert [name for name, part in gpu.PARTS.items() if part.targets is not None] == ["parzen-speed", "step-100"]


def test_training_ends_alike_whether_graphed_or_resumed(checks):
    found = checks.training(CPU, width=8)
    assert found["resumed"]["reconstruction"] == found["graph"]["reconstruction"]
    assert found["no graph"]["steps_per_second"] > 0


def test_training_that_ends_otherwise_fails_its_part(checks, monkeypatch):
    ends = iter([1.0, 1.0, 1.1])
    monkeypatch.setattr(checks, "last_epoch", lambda run: {"validation/reconstruction": next(ends)})
    with pytest.raises(checks.Failed, match="differ"):
        checks.training(CPU, width=4)


def test_triton_paths_stream_and_tiles_are_tried_in_the_interpreter():
    """In a process of its own, as one either interprets kernels or compiles them."""
    source = """
import json, sys, torch
import gpu_timings
cpu = torch.device("cpu")
speed = gpu_timings.parzen_speed(
    cpu, rows=3, samples=10, chunks=(5,), precisions=("fp16", "int8x2"), counts=(1, 2)
)
tile = gpu_timings.Tile(16, 16, 32, 4, 1)
before = dict(gpu_timings.gpu.TILES)
tiles = gpu_timings.tile_choice(cpu, passes=1, tiles={"fp16": (tile,)}, rows=3, chunk=5)
assert gpu_timings.gpu.TILES == before
import tf32_kernel
a, identity = torch.rand(16, 16), torch.eye(16)
assert torch.equal(tf32_kernel.through_triton(a, identity), a)  # the interpreter multiplies in full float32
json.dump([speed, tiles], sys.stdout)
"""
    environment = os.environ | {"TRITON_INTERPRET": "1", "AAEFRAME_KERNELS": "triton", "PYTHONPATH": str(SCRIPTS)}
    done = subprocess.run([sys.executable, "-c", source], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    speed, tiles = json.loads(done.stdout)
    assert speed["int8x2, 2 bandwidths, chunks of 5"]["paths"]["int8x2"] > 0
    assert tiles["fp16 16x16x32, 4 warps, 1 stages"]["paths"]["fp16"] > 0
