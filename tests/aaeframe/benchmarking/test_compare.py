"""benchmarks/compare.py: what it reads, what it flags, how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from aaeframe.benchmarking import measure as measuring
from aaeframe.benchmarking.case import BenchSettings

RECORD = Path(__file__).parents[3] / "benchmarks/results/2026-11-29-cpu-counts.json"


@pytest.fixture
def compare(script, capsys):
    main = script("compare").main

    def run(*arguments):
        code = main([str(it) for it in arguments])
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def stored(tmp_path):
    """Writes what `aaeframe bench` writes, with the ratio of each alternative of ours."""

    def write(name, baseline="other", **ratios):
        cases = [
            {
                "name": case.replace("_", " "),
                "baseline": baseline,
                "rows": [
                    {"alternative": "other", "ours": False, "ratio": 1.0},
                    {"alternative": "ours", "ours": True, "ratio": ratio},
                    {"alternative": "a third", "ours": False, "ratio": 40.0},
                ],
            }
            for case, ratio in ratios.items()
        ]
        path = tmp_path / name
        path.write_text(json.dumps({"cases": cases}))
        return path

    return write


@pytest.fixture
def timed(tmp_path):
    """Writes what pytest-benchmark writes, with medians of a baseline and of ours."""

    def write(name, baseline, ours):
        def row(alternative, median, is_baseline):
            info = {"alternative": alternative, "ours": not is_baseline, "baseline": is_baseline, "device": "cpu"}
            return {"group": "a case", "extra_info": info, "stats": {"median": median}}

        path = tmp_path / name
        path.write_text(json.dumps({"benchmarks": [row("other", baseline, True), row("ours", ours, False)]}))
        return path

    return write


def test_a_ratio_that_is_more_than_15_percent_worse_is_flagged(compare, stored):
    old, new = stored("old", step=1.0, loss=1.0, parzen=1.0), stored("new", step=1.16, loss=1.14, parzen=0.5)

    code, out, _ = compare(old, new)

    assert code == 0  # it reports only
    assert "WORSE step: ours: 1.000 -> 1.160 (+16%)" in out
    assert "      loss: ours: 1.000 -> 1.140 (+14%)" in out
    assert "      parzen: ours: 1.000 -> 0.500 (-50%)" in out
    assert "3 ratios compared, 1 worse by more than 15%" in out
    assert "a third" not in out


def test_ratios_of_rounds_are_compared_if_both_files_have_them(compare, stored):
    def with_rounds(path, ratio):
        content = json.loads(path.read_text())
        content["cases"][0]["rows"][1]["round_ratio"] = ratio
        path.write_text(json.dumps(content))
        return path

    old, new = with_rounds(stored("old", step=1.0), 2.0), with_rounds(stored("new", step=9.0), 2.2)
    assert "      step: ours: 2.000 -> 2.200 (+10%)" in compare(old, new)[1]
    older = stored("older", step=8.0)
    assert "      step: ours: 8.000 -> 9.000 (+12%)" in compare(older, new)[1]


def test_strict_fails_on_a_flag_only(compare, stored):
    old = stored("old", step=1.0)
    assert compare(old, stored("worse", step=2.0), "--strict")[0] == 1
    assert compare(old, stored("same", step=1.0), "--strict")[0] == 0


def test_cases_are_chosen_by_the_beginning_of_their_name(compare, stored):
    old, new = stored("old", step_a=1.0, loss=1.0), stored("new", step_a=9.0, loss=1.0)
    assert compare(old, new, "--case", "loss", "--strict")[0] == 0
    assert compare(old, new, "--case", "loss", "--case", "step", "--strict")[0] == 1


def test_a_case_that_is_gone_is_told(compare, stored):
    code, out, _ = compare(stored("old", step=1.0, loss=1.0), stored("new", step=1.0))
    assert code == 0
    assert "loss: ours: only in" in out


def test_ratios_to_different_baselines_are_not_compared(compare, stored):
    code, _, err = compare(stored("old", step=1.0), stored("new", "another", step=9.0))
    assert code == 2
    assert "no case in common" in err


def test_a_case_without_ratios_is_told(compare, stored):
    code, out, _ = compare(stored("old", step=1.0, loss=1.0), stored("new", step=1.0, loss=None))
    assert code == 0
    assert "loss: ours: only in" in out
    assert "is there a ratio to other" in out


def test_times_of_pytest_benchmark_become_ratios(compare, timed):
    _, out, _ = compare(timed("old", 2.0, 1.0), timed("new", 4.0, 2.4))
    assert "WORSE a case (cpu): ours: 0.500 -> 0.600 (+20%)" in out


@pytest.mark.parametrize("content", ["", "[]", '{"cases": [{"name": 1}]}', '{"benchmarks": []}', "{}"])
def test_files_that_hold_no_ratios_are_refused_in_words(compare, stored, tmp_path, content):
    bad = tmp_path / "bad"
    bad.write_text(content)
    code, _, err = compare(stored("old", step=1.0), bad)
    assert code == 2
    assert err.startswith("error: ")
    assert "bad" in err


def test_files_that_are_not_there_or_have_nothing_in_common_are_refused(compare, stored, tmp_path):
    old = stored("old", step=1.0)
    assert compare(old, tmp_path / "none")[0] == 2
    code, _, err = compare(old, stored("new", loss=1.0))
    assert code == 2
    assert "no case in common" in err
    assert "'x'" in compare(old, old, "--case", "x")[2]


@pytest.fixture
def counted(tmp_path):
    """Writes what `aaeframe bench` writes, with counts by alternative; one is from outside."""

    def write(name, **alternatives):
        rows = [{"alternative": it, "ours": True, "ratio": 1.0, "counts": of} for it, of in alternatives.items()]
        rows.append({"alternative": "mine", "ours": False, "ratio": 1.0, "counts": {"flops": id(rows)}, "origin": "x"})
        path = tmp_path / name
        path.write_text(json.dumps({"cases": [{"name": "step", "baseline": "a", "rows": rows}]}))
        return path

    return write


def test_equal_counts_pass_and_those_from_outside_are_not_held(compare, counted):
    old = counted("old", a={"flops": 4, "operations": 2})
    code, out, _ = compare("--counts", old, counted("new", a={"flops": 4, "operations": 2}, b={"flops": 1}))
    assert code == 0
    assert "2 counts compared, 0 different" in out
    assert "only in" in out
    assert "step: b: flops: 1" in out


@pytest.mark.parametrize(
    ("new", "words"),
    [
        ({"a": {"flops": 4, "operations": 3}}, "DIFFERENT step: a: operations: 2 -> 3"),
        ({"a": {"flops": 4}}, "DIFFERENT step: a: operations: 2 -> not counted"),
    ],
)
def test_a_count_that_differs_or_is_missing_fails(compare, counted, new, words):
    code, out, _ = compare("--counts", counted("old", a={"flops": 4, "operations": 2}), counted("new", **new))
    assert code == 1
    assert words in out
    assert "2 counts compared, 1 different" in out


def test_a_file_without_counts_is_refused(compare, counted, stored):
    code, _, err = compare("--counts", stored("old", step=1.0), counted("new", a={"flops": 4}))
    assert code == 2
    assert "holds no counts" in err
    assert compare("--counts", counted("old"), counted("new"))[0] == 2


@pytest.mark.slow
def test_the_stored_counts_are_those_of_today(compare, monkeypatch, tmp_path):
    """The record is made by the command in .ci/run; a change of a step or of torch is recorded anew with its reason."""
    monkeypatch.setattr(measuring, "QUICK_ROUNDS", 1)
    monkeypatch.setattr(measuring, "peak", lambda call, device: None)  # times and memory are not compared
    report = measuring.measure(["loss", "step"], BenchSettings(torch.device("cpu"), quick=True), command="a test")
    new = tmp_path / "new.json"
    new.write_text(json.dumps(report.to_json()))
    code, out, _ = compare("--counts", RECORD, new)
    assert code == 0, out
    assert int(out.splitlines()[-1].split()[0]) >= 58
