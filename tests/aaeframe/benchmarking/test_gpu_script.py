"""benchmarks/gpu.py without a GPU: groups as child processes, each broken on purpose, and parts at a tiny size."""

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

from aaeframe.benchmarking import SUITES
from aaeframe.benchmarking.case import BenchSettings
from aaeframe.evaluation import likelihood

CPU = torch.device("cpu")
SCRIPTS = Path(__file__).parents[3] / "benchmarks"
GROUPS = ("accuracy", "tests", "tiles", "step", "step-compiled", "parzen-speed", "training", "loss", "step-larger")
GROUPS += ("parzen", "step-joint", "step-1024-compiled", "step-8192-compiled", "processes")
HANGING = ("accuracy", "tests", "parzen-speed")
"""Beside another group, the same of one part, and alone."""

QUICK_CHILD = """
import argparse, os, signal, sys
sys.path.insert(0, {scripts!r})
from pathlib import Path
from gpu import write

parser = argparse.ArgumentParser()
parser.add_argument("parts", nargs="+")
parser.add_argument("--out", type=Path)
parser.add_argument("--group")
parser.add_argument("--dry", action="store_true")
parser.add_argument("--break", dest="broken", default="")
asked = parser.parse_args()
results = {{"machine": {{"device": "none"}}, "parts": {{}}}}
broken, _, how = asked.broken.partition("=")
for name in asked.parts:
    print("begins", name, flush=True)
    if broken == asked.group and name == asked.parts[-1]:
        if how == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True:
            signal.pause()
    results["parts"][name] = {{"found": {{"value": len(name)}}}}
    write(asked.out, results)
"""
"""A child that does as gpu_parts.py does, without torch: each part is done at once."""


@pytest.fixture
def gpu(script):
    return script("gpu")


@pytest.fixture
def parts(script):
    return script("gpu_parts")


@pytest.fixture
def checks(script):
    return script("gpu_checks")


@pytest.fixture
def timings(script):
    return script("gpu_timings")


@pytest.fixture
def quick_child(gpu, monkeypatch, tmp_path):
    child = tmp_path / "child.py"
    child.write_text(QUICK_CHILD.format(scripts=str(SCRIPTS)))
    monkeypatch.setattr(gpu, "CHILD", child)


def results_of(path):
    return json.loads(path.read_text("utf-8"))


def test_the_groups_of_these_tests_are_all(gpu):
    assert tuple(gpu.GROUPS) == GROUPS


def test_every_part_is_in_one_group_and_every_group_in_one_run(gpu, parts):
    assert sorted(gpu.PARTS) == sorted(parts.PARTS)
    staged = [name for run in gpu.RUNS.values() for stage in run.stages for name in stage]
    assert sorted(staged) == sorted(gpu.GROUPS)


def test_stages_fit_their_run_and_runs_are_as_short_as_promised(gpu):
    assert [run.limit for run in gpu.RUNS.values()] == [180, 220, 180, 120]
    for run in gpu.RUNS.values():
        assert sum(gpu.limit(dict.fromkeys(stage)) for stage in run.stages) <= run.limit


def test_the_plan_is_shown_and_nothing_done(gpu, capsys, tmp_path):
    out = tmp_path / "out.json"
    assert gpu.main(["first", "--list", "--out", str(out)]) == 0
    assert "accuracy (accuracy, accumulator, tf32) beside tests (tests)" in capsys.readouterr().out
    assert not out.exists()


@pytest.mark.slow
def test_a_session_does_all_parts_and_says_what_it_measured(gpu, quick_child, tmp_path):
    out = tmp_path / "out.json"
    assert gpu.main(["--dry", "--out", str(out)]) == 0
    results = results_of(out)
    assert sorted(results["parts"]) == sorted(gpu.PARTS)
    assert results["parts"]["tiles"] == {"found": {"value": 5}}
    assert results["dry"]
    assert results["machine"] == {"device": "none"}
    assert results["left_out"] == []
    assert {it["ended"] for it in results["groups"].values()} == {"finished"}


@pytest.mark.slow
def test_after_each_group_the_file_is_complete(gpu, quick_child, monkeypatch, tmp_path):
    written = []
    monkeypatch.setattr(gpu, "write", lambda path, value: written.append(json.loads(json.dumps(value))))
    gpu.main(["third", "--dry", "--out", str(tmp_path / "out.json")])
    known = sorted(gpu.parts_of(gpu.RUNS["third"]))
    assert len(written) == 6
    for number, results in enumerate(written, 1):
        assert len(results["groups"]) == number
        assert sorted([*results["parts"], *results["left_out"]]) == known


@pytest.mark.slow
@pytest.mark.parametrize(("group", "how"), [*((it, "crash") for it in GROUPS), *((it, "hang") for it in HANGING)])
def test_a_broken_group_costs_itself_alone(gpu, quick_child, monkeypatch, tmp_path, capsys, group, how):
    stage = next(stage for run in gpu.RUNS.values() for stage in run.stages if group in stage)
    later = ("loss",) if group == "training" else ("training",)
    limit = 10  # enough to start Python on a busy machine
    for name in stage:
        monkeypatch.setitem(gpu.GROUPS, name, replace(gpu.GROUPS[name], limit=limit))
    monkeypatch.setattr(gpu, "RUNS", {"it": gpu.Run(limit + gpu.GROUPS[later[0]].limit, (stage, later))})
    out = tmp_path / "out.json"

    assert gpu.main(["--dry", "--break", f"{group}={how}", "--out", str(out)]) == 1

    results, parts = results_of(out), gpu.GROUPS[group].parts
    failed = {name: part["failed"] for name, part in results["parts"].items() if "failed" in part}
    ended = {"crash": "killed by SIGSEGV", "hang": "stopped at its limit of time"}[how]
    assert failed == {parts[-1]: "\n".join([ended, *(f"begins {it}" for it in parts)])}
    assert {name: it["ended"] for name, it in results["groups"].items() if name != group} == {
        name: "finished" for name in (*stage, *later) if name != group
    }
    assert sorted(results["parts"]) == sorted(gpu.parts_of(gpu.RUNS["it"]))
    assert results["left_out"] == []
    assert f"failed: {parts[-1]}" in capsys.readouterr().out


def test_parts_after_the_one_that_crashed_are_told_apart(gpu, tmp_path, monkeypatch):
    child = tmp_path / "child.py"
    child.write_text("raise SystemExit(3)")
    monkeypatch.setattr(gpu, "CHILD", child)
    out = tmp_path / "out.json"
    assert gpu.main(["--dry", "--only", "step-1024", "--only", "step-8192", "--out", str(out)]) == 1
    parts = results_of(out)["parts"]
    assert parts["step-1024"]["failed"] == "exit code 3"
    assert parts["step-8192"]["failed"] == "not begun: its group ended (exit code 3)"


@pytest.mark.slow
def test_a_group_takes_the_processes_that_it_started_with_it(gpu, tmp_path, monkeypatch):
    """As pytest's workers, which would go on compiling beside what is timed next."""
    child, pid = tmp_path / "child.py", tmp_path / "pid"
    child.write_text(
        "import signal, subprocess, sys\n"
        "it = subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()'])\n"
        f"open({str(pid)!r}, 'w').write(str(it.pid))\n"
        "signal.pause()\n"
    )
    monkeypatch.setattr(gpu, "CHILD", child)
    monkeypatch.setitem(gpu.GROUPS, "loss", replace(gpu.GROUPS["loss"], limit=10))
    monkeypatch.setattr(gpu, "RUNS", {"it": gpu.Run(10, (("loss",),))})
    assert gpu.main(["--dry", "--out", str(tmp_path / "out.json")]) == 1
    state = Path("/proc", pid.read_text(), "stat")
    assert not state.exists() or state.read_text().split()[2] == "Z"  # gone, or dead and not yet reaped by init


def test_stopping_the_script_ends_its_children(gpu, tmp_path):
    source = (
        "import sys, gpu, pathlib\n"
        f"gpu.CHILD = pathlib.Path({str(tmp_path / 'child.py')!r})\n"
        f"sys.exit(gpu.main(['--dry', '--only', 'loss', '--out', {str(tmp_path / 'out.json')!r}]))\n"
    )
    started = tmp_path / "started"
    os.mkfifo(started)
    (tmp_path / "child.py").write_text(
        f"import os, signal\nopen({str(started)!r}, 'w').write(str(os.getpid()))\nsignal.pause()\n"
    )
    script = subprocess.Popen([sys.executable, "-c", source], env=os.environ | {"PYTHONPATH": str(SCRIPTS)})
    child = started.read_text()  # waits until it runs
    script.terminate()
    assert script.wait(60) == 128 + 15
    assert not Path("/proc", child).exists()


def test_what_was_asked_wrongly_is_said(gpu, capsys, tmp_path):
    for arguments, told in [
        (["fourth"], "there is no run 'fourth'; available: first, second, third, two-gpus"),
        (["--break", "tiles=crash"], "needs --dry"),
        (["--dry", "--break", "tile=crash"], "groups: accuracy"),
        (["--out", str(tmp_path / "no" / "out.json")], "there is no folder"),
        (["--only", "speed"], "invalid choice: 'speed'"),
        (["first", "--only", "parzen-speed"], "none of parzen-speed is a part of first"),
    ]:
        with pytest.raises(SystemExit, match="2"):
            gpu.main(arguments)
        assert told in capsys.readouterr().err


@pytest.mark.slow
def test_without_a_gpu_it_says_so_and_writes_nothing(gpu, capsys, tmp_path):
    if torch.cuda.is_available():
        pytest.skip("no GPU must be here for this test")
    out = tmp_path / "out.json"
    assert gpu.main(["--only", "tf32", "--out", str(out)]) == 2
    assert "no CUDA device" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.slow
def test_the_real_child_that_hangs_is_stopped(gpu, monkeypatch, tmp_path):
    """It hangs before any code of its group, so one group is enough: a false child is broken in all of them above."""
    out = tmp_path / "out.json"
    monkeypatch.setitem(gpu.GROUPS, "accuracy", replace(gpu.GROUPS["accuracy"], limit=30))
    monkeypatch.setattr(gpu, "RUNS", {"it": gpu.Run(30, (("accuracy",),))})
    assert gpu.main(["--dry", "--break", "accuracy=hang", "--only", "tf32", "--out", str(out)]) == 1
    failed = results_of(out)["parts"]["tf32"]["failed"]
    assert failed.startswith("stopped at its limit of time\ntf32: "), "it had begun, and hung"


@pytest.mark.slow
def test_every_part_can_be_rehearsed(gpu, tmp_path):
    out = tmp_path / "out.json"
    code = gpu.main(["--dry", "--out", str(out)])
    results = results_of(out)
    assert {name: gpu.failures(part) for name, part in results["parts"].items() if gpu.failures(part)} == {}
    assert code == 0
    assert results["machine"]["versions"]["torch"] == torch.__version__


@pytest.mark.slow
def test_one_part_is_rehearsed_by_the_real_child(gpu, tmp_path):
    out = tmp_path / "out.json"
    assert gpu.main(["--dry", "--only", "tf32", "--out", str(out)]) == 0
    assert results_of(out)["parts"]["tf32"]["found"] == {"torch.mm": "not tf32"}


@pytest.mark.slow
def test_the_real_child_can_be_broken(gpu, tmp_path):
    out = tmp_path / "out.json"
    broken = ["--dry", "--break", "accuracy=crash", "--only", "accumulator", "--only", "tf32"]
    assert gpu.main([*broken, "--out", str(out)]) == 1
    parts = results_of(out)["parts"]
    assert "found" in parts["accumulator"]
    assert parts["tf32"]["failed"].startswith("killed by SIGSEGV")


def test_a_part_that_fails_does_not_end_its_group(parts, capsys):
    def fail(device):
        raise RuntimeError("it broke")

    found = parts.outcome(parts.Part("it", fail, fail), CPU, dry=True)
    assert found["failed"] == "RuntimeError: it broke"
    assert "FAILED RuntimeError: it broke" in capsys.readouterr().out


def test_a_number_that_is_none_fails_its_part_and_leaves_a_file(parts):
    found = parts.outcome(parts.Part("it", lambda device: None, lambda device: {"error": float("nan")}), CPU, dry=True)
    assert "found" not in found
    assert "{'error': nan}" in found["failed"]


def test_failures_are_kept_however_much_was_printed_after_them(gpu):
    lines = ["a PASSED", "b FAILED", *["c PASSED"] * 100]
    assert gpu.telling(lines) == ["b FAILED", *["c PASSED"] * gpu.TAIL]


def test_an_alternative_that_failed_makes_the_part_fail(gpu):
    assert gpu.failures({"found": [{"failed": {"aaeframe": "wrong"}}]}) == ["wrong"]
    assert gpu.failures({"found": [{"failed": {}}]}) == []
    assert gpu.failures({"found": {"failed": {"no": "case"}}}) == []


def test_cases_are_chosen_by_name_and_shown(parts, capsys):
    (report,) = parts.measured("loss", "loss rows=16", CPU, quick=True)
    parts.show([report])
    assert "loss rows=16 width=32: aaeframe, few torch operations:" in capsys.readouterr().out


def test_a_name_that_no_case_has_is_a_failure(parts):
    with pytest.raises(parts.Failed, match="has no case whose name begins with 'nothing'"):
        parts.measured("loss", "nothing", CPU, quick=True)


def test_every_step_that_is_asked_for_is_a_case_on_a_gpu():
    names = [case.name for case in SUITES["step"].load()(BenchSettings(torch.device("cuda")))]
    for kind in ("step", "step-compiled"):
        for batch in (100, 1024, 8192):
            assert sum(name.startswith(f"{kind} alternating batch={batch} ") for name in names) == 1
    assert any(name.startswith("step joint batch=100 ") for name in names)


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
        assert ours["product_seconds"] == fastest
        assert (ours["bandwidths"], ours["pairs"]) == (20, 8 * 60)
        assert ours["paths"]["fp32"] == 3 * 60 + chunk  # timed three times, and once before


def test_chunks_take_turns_so_that_no_cache_holds_them(timings):
    taken = [chunk.tolist() for chunk in timings.rotating(torch.arange(7), 2, 4)]
    assert taken == [[0, 1], [2, 3], [4, 5], [0, 1]]


def test_a_tile_that_finds_another_result_is_wrong_and_has_no_time(timings, monkeypatch):
    means = iter([1.0, 1.005, float("nan"), 2.0])
    monkeypatch.setattr(timings, "streamed", lambda *inputs: {"seconds": 1.0, "mean": next(means)})
    tiles = {"fp16": tuple(timings.Tile(16, 16, 32, 4, stages) for stages in (1, 2, 3, 4))}
    found = timings.tile_choice(CPU, rows=2, chunk=2, passes=1, tiles=tiles)
    told = [found[timings.described("fp16", tile)] for tile in tiles["fp16"]]
    assert [isinstance(it, dict) for it in told] == [True, True, False, False]
    assert told[3] == "wrong: its mean is 2.0 nats, where the first tile's is 1.0"


@pytest.mark.slow
def test_tiles_are_compiled_where_they_cannot_run(timings):
    found = timings.compiled_tiles(CPU)
    assert {name.partition(" ")[0] for name in found} == {"fp16", "int8x2"}
    assert all(it["registers"] > 0 and it["spills"] == 0 for it in found.values())


def test_chunks_of_the_evaluation_are_measured_too(timings):
    chunks = inspect.signature(timings.parzen_speed).parameters["chunks"].default
    assert likelihood.CHUNK in chunks


@pytest.mark.slow
def test_tests_that_fail_fail_their_part(checks, tmp_path, capsys):
    (tmp_path / "test_good.py").write_text("def test_it(): pass")
    assert "1 passed" in checks.kernel_tests(CPU, [str(tmp_path)])["tail"]
    assert "test_good.py::test_it" in capsys.readouterr().out  # what ran is told before the end
    (tmp_path / "test_bad.py").write_text("def test_it(): assert False, 'for no reason'")
    with pytest.raises(checks.Failed, match="for no reason"):
        checks.kernel_tests(CPU, [str(tmp_path)])


def test_targets_are_told_and_recorded(parts, capsys):
    part = parts.Part(
        "it", lambda device: 2, lambda device: 2, lambda found: {"at most 1": found <= 1, "at most 3": found <= 3}
    )
    assert parts.outcome(part, CPU, dry=False)["targets"] == {"at most 1": False, "at most 3": True}
    assert capsys.readouterr().out.splitlines()[1:] == ["    target MISSED: at most 1", "    target met: at most 3"]
    assert "targets" not in parts.outcome(part, CPU, dry=True)  # a rehearsal's sizes are not those of the targets


def test_the_parts_with_targets_are_those_of_the_plan(parts):
    assert [name for name, part in parts.PARTS.items() if part.targets is not None] == ["step-100", "parzen-speed"]


@pytest.mark.slow
def test_training_ends_alike_whether_graphed_or_resumed(checks):
    found = checks.training(CPU, width=8)
    assert found["resumed"]["reconstruction"] == found["graph"]["reconstruction"]
    assert found["no graph"]["steps_per_second"] > 0


@pytest.mark.slow
def test_training_that_ends_otherwise_fails_its_part(checks, monkeypatch):
    ends = iter([1.0, 1.0, 1.1])
    monkeypatch.setattr(checks, "last_epoch", lambda run: {"validation/reconstruction": next(ends)})
    with pytest.raises(checks.Failed, match="differ"):
        checks.training(CPU, width=4)


@pytest.mark.slow
def test_two_processes_end_like_one(checks):
    found = checks.processes(CPU, width=8)
    assert set(found) == {"1 graph", "2 graph", "2 no graph"}


def test_with_a_single_gpu_the_part_for_two_says_so(checks, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert checks.processes(torch.device("cuda", 0)) == {"left_out": "it needs two GPUs, found 1"}


@pytest.mark.slow
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
