"""`aaeframe bench` at tiny sizes."""

from __future__ import annotations

import json
import sys
from functools import partial
from itertools import count

import pytest

from aaeframe.benchmarking import discriminator_loss
from aaeframe.benchmarking import measure as measuring
from aaeframe.benchmarking.case import IncorrectResult
from aaeframe.errors import RunError

QUICK = ("bench", "--quick", "--device", "cpu")
OWN = """
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, linear

def right(features, weight, bias, target, row_weight):
    print("a print of the user")
    logits = linear(features, weight, bias).squeeze(1)
    return (row_weight * binary_cross_entropy_with_logits(logits, target, reduction="none")).sum()

def wrong(*inputs):
    return 2 * right(*inputs)

def two(features, weight):
    return features.sum()
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A module `own_loss` in the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "own_loss", raising=False)
    (tmp_path / "own_loss.py").write_text(OWN)
    return tmp_path


@pytest.fixture
def clock(monkeypatch):
    """Replaces the clock by one that goes on by these seconds at each reading, on an idle machine."""

    def replace(*seconds):
        turns = count()

        def read():
            read.time += seconds[next(turns) % len(seconds)]
            return read.time

        read.time = 0.0
        monkeypatch.setattr(measuring, "measure_case", partial(measuring.measure_case, clock=read))
        monkeypatch.setattr("os.getloadavg", lambda: (0.0, 0.0, 0.0))

    return replace


@pytest.mark.slow
def test_a_suite_is_measured_printed_and_written(done, tmp_path):
    path = tmp_path / "bench.json"

    outcome = done("bench", "--quick", "--case", "loss", "--device", "cpu", "--out", path)

    for words in ("This machine", "fp32 products", "loss rows=16 width=32", "aaeframe, few torch", "of limit"):
        assert words in outcome.out
    assert "the sizes are too small for these times to measure speed" in outcome.out
    assert "measuring loss rows=16 width=32" in outcome.err
    stored = json.loads(path.read_text())
    assert stored["command"].startswith("aaeframe bench --quick --case loss")
    assert [case["name"] for case in stored["cases"]] == ["loss rows=16 width=32"]


@pytest.mark.slow
def test_json_alone_on_standard_output(done, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    outcome = done("bench", "--quick", "--case", "loss", "--case", "loss", "--device", "cpu", "--json")

    cases = outcome.json["cases"]
    assert [case["name"] for case in cases] == ["loss rows=16 width=32"]
    assert cases[0]["baseline"] == "torch: Linear and BCE with logits"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_what_is_not_installed_is_told_with_the_command_that_installs_it(done, tmp_path, monkeypatch):
    monkeypatch.setattr("aaeframe.benchmarking.installed.find_spec", lambda name: None)
    outcome = done("bench", "--quick", "--case", "parzen", "--device", "cpu", "--out", tmp_path / "x.json")
    assert 'not measured: KeOps: pykeops is not installed: pip install "aaeframe[benchmark]"' in outcome.out


@pytest.mark.slow
def test_a_file_is_written_here_if_none_is_named(done, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outcome = done("bench", "--quick", "--case", "loss", "--device", "cpu")
    (path,) = tmp_path.iterdir()
    assert path.name.startswith("bench-20")
    assert f"written: {path.name}" in outcome.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--case", "nothing"), "'nothing' is not one of"),
        (("--device", "tpu"), "is not a device"),
        (("--out", "bench.txt"), "ends in .txt"),
        (("--out", ""), "--out is empty"),
        (("--out", "."), "is a folder"),
    ],
)
def test_bad_input_is_refused_in_words_before_anything_is_measured(cli, arguments, words):
    outcome = cli("bench", "--quick", *arguments)
    assert outcome.code == 2
    assert words in outcome.err
    assert "measuring" not in outcome.err


@pytest.mark.parametrize("arguments", [(), ("--out", "bench.json")])
def test_a_folder_that_cannot_be_written_to_is_refused_before_anything_is_measured(
    cli, monkeypatch, tmp_path, arguments
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("os.access", lambda path, mode, **options: False)
    outcome = cli("bench", "--quick", *arguments)
    assert outcome.code == 2
    assert "Permission denied" in outcome.err
    assert "measuring" not in outcome.err


@pytest.mark.slow
def test_a_baseline_that_is_wrong_leaves_no_ratios_and_that_is_told(cli, monkeypatch, tmp_path):
    def wrong(inputs):
        return 2 * right(inputs)

    right = discriminator_loss.chain
    monkeypatch.setattr(discriminator_loss, "chain", wrong)
    outcome = cli("bench", "--quick", "--case", "loss", "--device", "cpu", "--out", tmp_path / "bench.json")
    assert outcome.code == 1
    assert "no ratios in loss rows=16 width=32" in outcome.out
    assert "aaeframe, few torch operations" in outcome.out


def test_a_wrong_result_is_told_and_ends_in_exit_code_1(cli, monkeypatch, tmp_path):
    def wrong(problem, result):
        raise IncorrectResult("the loss is off")

    monkeypatch.setattr(discriminator_loss.LossProblem, "check", wrong)
    outcome = cli("bench", "--quick", "--case", "loss", "--device", "cpu", "--out", tmp_path / "bench.json")
    assert outcome.code == 1
    assert "FAILED: aaeframe, few torch operations: IncorrectResult: the loss is off" in outcome.out


@pytest.mark.slow
def test_an_own_implementation_is_in_the_table_and_the_file_marked_as_the_users(done, own):
    outcome = done(*QUICK, "--case", "loss", "--with", "own_loss:right", "--out", "bench.json")
    assert "own_loss:right (yours)" in outcome.out
    assert "a print of the user" not in outcome.out
    rows = json.loads((own / "bench.json").read_text())["cases"][0]["rows"]
    assert [(row["alternative"], row["origin"]) for row in rows][-1] == ("own_loss:right", "yours")
    assert rows[-1]["ratio"] == rows[-1]["seconds"] / rows[0]["seconds"]
    assert {"flops", "operations", "launches", "bytes"} == set(rows[-1]["counts"])


@pytest.mark.slow
def test_a_wrong_own_implementation_has_no_time_and_ends_in_exit_code_1(cli, own):
    outcome = cli(*QUICK, "--case", "loss", "--with", "own_loss:right", "--with", "own_loss:wrong", "--json")
    assert outcome.code == 1
    (case,) = outcome.json["cases"]
    assert [row["alternative"] for row in case["rows"]][-1] == "own_loss:right"
    assert "relative errors" in case["failed"]["own_loss:wrong"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--case", "loss", "--with", "no_module_here:f"), "there is no module 'no_module_here'"),
        (("--case", "loss", "--with", "own_loss:absent"), "has no 'absent'; it has"),
        (("--case", "loss", "--with", "own_loss:torch"), "of type module, which cannot be called"),
        (("--case", "loss", "--with", "own_loss:two"), "does not take the arguments of the suite loss"),
        (("--with", "own_loss:right"), "needs one --case"),
        (("--case", "loss", "--rows", "5"), "--rows is not a size of the case loss, which has --batch, --width"),
        (("--case", "loss", "--width", "wide"), "give a size such as 1000 or 1e4"),
        (("--case", "loss", "--width", "5", "--plot", "p.png"), "--plot p.png draws times over a size with several"),
        (("--case", "loss", "--width", "5,6", "--plot", "p.pdf"), "--plot p.pdf ends in .pdf"),
        (("--case", "loss", "--append", "own_loss.py"), "--append own_loss.py ends in .py"),
        (("--case", "loss", "--append", "bad.jsonl"), "bad.jsonl, line 1 is not of a history"),
        (("--case", "loss", "history", "bad.jsonl"), "--case is an option of aaeframe bench, not of aaeframe bench h"),
        (("--case", "parzen", "--rows", "1", "--samples", "1e12"), "do not fit on cpu: it needs"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_words(cli, refused, own, arguments, words):
    (own / "bad.jsonl").write_text("[1]\n")
    refused(cli(*QUICK, *arguments), words)
    assert sorted(it.name for it in own.iterdir() if it.name != "__pycache__") == ["bad.jsonl", "own_loss.py"]


@pytest.mark.slow
def test_sizes_replace_those_of_the_suites(done, own):
    (case,) = done(*QUICK, "--case", "loss", "--batch", "6", "--width", "12", "--json").json["cases"]
    assert case["name"] == "loss rows=12 width=12"
    assert case["sizes"] == {"batch": 6, "width": 12}


@pytest.mark.slow
def test_a_sweep_measures_each_size_and_is_plotted(done, own):
    outcome = done(*QUICK, "--case", "loss", "--width", "4..400", "--plot", "plot.png", "--out", "bench.json")
    stored = json.loads((own / "bench.json").read_text())
    assert stored["swept"] == "width"
    assert [case["sizes"]["width"] for case in stored["cases"]] == [4, 40, 400]
    assert (own / "plot.png").read_bytes().startswith(b"\x89PNG")
    assert "written: plot.png" in outcome.out


@pytest.mark.slow
def test_the_history_grows_by_a_line_a_run_and_shows_ratios(done, cli, refused, own):
    for _ in range(2):
        done(*QUICK, "--case", "loss", "--append", "history.jsonl", "--json")
    assert len((own / "history.jsonl").read_text().splitlines()) == 2
    outcome = done("bench", "history", "history.jsonl", "--plot", "history.png")
    assert "loss rows=16 width=32, over torch: Linear and BCE with logits" in outcome.out
    assert (own / "history.png").read_bytes().startswith(b"\x89PNG")
    (curve,) = done("bench", "history", "history.jsonl", "--json").json["curves"]
    assert [len(points) for points in curve["points"].values()] == [2, 2]
    refused(cli("bench", "history", "history.jsonl", "--case", "step"), "no ratio of these cases; its 2 runs have loss")
    refused(cli("bench", "history", "absent.jsonl"), "absent.jsonl: No such file")


@pytest.mark.slow
def test_an_output_that_fails_loses_no_line_of_the_history(cli, own):
    outcome = cli(*QUICK, "--case", "loss", "--append", "history.jsonl", "--out", "/dev/full")
    assert outcome.code != 0
    assert "No space left on device" in outcome.err
    assert len((own / "history.jsonl").read_text().splitlines()) == 1
    assert "loss rows=16 width=32" in outcome.out


@pytest.mark.slow
def test_a_history_that_fails_loses_no_other_output(cli, own, monkeypatch):
    def full(path, run):
        raise RunError("cannot write history.jsonl: No space left on device")

    monkeypatch.setattr("aaeframe.benchmarking.history.append", full)
    outcome = cli(*QUICK, "--case", "loss", "--append", "history.jsonl", "--out", "bench.json")
    assert outcome.code != 0
    assert "No space left on device" in outcome.err
    assert json.loads((own / "bench.json").read_text())["cases"]


@pytest.mark.slow
def test_a_module_of_the_current_folder_is_not_run_without_being_named(done, own):
    (own / "sklearn.py").write_text("raise SystemExit('a stranger runs')")
    (own / "pykeops.py").write_text("raise SystemExit('a stranger runs')")
    (case,) = done(*QUICK, "--case", "parzen", "--json").json["cases"][:1]
    assert case["failed"] == {}


@pytest.mark.slow
def test_steady_times_are_quiet_and_strict_is_content(done, own, clock):
    clock(0.01)
    outcome = done(*QUICK, "--case", "loss", "--strict", "--out", "bench.json")
    assert "noisy" not in outcome.out
    assert "of fastest" in outcome.out


@pytest.mark.slow
def test_scattered_times_are_noisy_and_strict_exits_with_3(cli, own, clock):
    clock(0.01, 0.01, 0.01, 0.01, 0.05)
    outcome = cli(*QUICK, "--case", "loss", "--strict", "--out", "bench.json")
    assert outcome.code == 3
    assert "noisy: ratios unreliable in loss rows=16 width=32: the quartiles of " in outcome.out
    clock(0.01, 0.01, 0.01, 0.01, 0.05)
    assert cli(*QUICK, "--case", "loss", "--out", "bench.json").code == 0  # it is told, no more


@pytest.mark.slow
def test_other_work_on_the_machine_is_noisy(cli, own, clock, monkeypatch):
    clock(0.01)
    monkeypatch.setattr("os.getloadavg", lambda: (999.0, 0.0, 0.0))
    outcome = cli(*QUICK, "--case", "loss", "--strict", "--json")
    assert outcome.code == 3
    assert "the load average was 999.00 at the start" in outcome.json["noise"][0]


@pytest.mark.slow
def test_a_plugin_takes_part_and_can_be_left_out(done, install, own):
    source = """
from aaeframe import Component, hookimpl
from aaeframe.benchmarking import Benchmark

@hookimpl
def aaeframe_benchmarks():
    return [Component("rival", "aaeframe_rival:rival", "the loss once more")]

"""
    source += (
        OWN
        + """
def rival(*, scale: float = 1.0):
    return Benchmark("loss", lambda *inputs: scale * right(*inputs))
"""
    )
    install("aaeframe-rival", {"aaeframe_rival": source})
    found = done(*QUICK, "--case", "loss", "--json").json["cases"][0]["rows"][-1]
    assert (found["alternative"], found["origin"]) == ("aaeframe-rival:rival", "plugin aaeframe-rival 1.0")
    without = done("--no-plugin", "aaeframe-rival", *QUICK, "--case", "loss", "--json").json["cases"][0]
    assert all(row["origin"] is None for row in without["rows"])
    assert "benchmark" in done("plugins", "list").out
