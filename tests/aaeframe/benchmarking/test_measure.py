"""From a case to a report: ratios, failures, what is missing, and JSON."""

from __future__ import annotations

import json
from functools import partial

import pytest
import torch

from aaeframe.benchmarking import SUITES
from aaeframe.benchmarking.case import Alternative, BenchSettings, Case, IncorrectResult, Work
from aaeframe.benchmarking.limits import Limits
from aaeframe.benchmarking.measure import QUICK_ROUNDS, measure, measure_case
from aaeframe.benchmarking.report import Report, this_machine
from aaeframe.cli.measurements import notes
from aaeframe.errors import RunError
from aaeframe.storage.output import Output, write_json

SETTINGS = BenchSettings(torch.device("cpu"), quick=True)
LIMITS = Limits(gemm={"fp32": 1e6}, by={"fp32": "it"}, absent={}, copy=1e6)


def returning(value):
    return partial(lambda it: lambda: it, value)


def wrong(result):
    raise IncorrectResult(f"{result} is not 1")


def broken():
    raise RuntimeError("no compiler here")


def case(*alternatives):
    return Case("a case", "a sentence", "things", 5, alternatives)


@pytest.mark.slow
def test_ratios_are_to_the_first_alternative_and_results_are_checked():
    baseline = Alternative("baseline", returning(1), work=lambda result: Work(1, "fp32", 0))
    ours = Alternative("ours", returning(2), check=lambda result: {"value": result}, ours=True)

    report = measure_case(case(baseline, ours), SETTINGS, LIMITS)

    first, second = report.rows
    assert (report.baseline, first.ratio, first.ours) == ("baseline", 1.0, False)
    assert second.ratio == second.seconds / first.seconds
    assert second.throughput == 5 / second.seconds
    assert second.fastest <= second.lower_quartile <= second.seconds <= second.upper_quartile
    assert second.facts == {"value": 2}
    assert first.limit_fraction == pytest.approx(1e-6 / first.seconds)
    assert second.limit_fraction is None
    assert first.rounds == QUICK_ROUNDS


def test_a_wrong_result_has_no_row():
    report = measure_case(
        case(Alternative("right", returning(1)), Alternative("wrong", returning(2), check=wrong)), SETTINGS, LIMITS
    )
    assert [row.alternative for row in report.rows] == ["right"]
    assert report.failed == {"wrong": "IncorrectResult: 2 is not 1"}


def fails_at(call):
    """Prepares what breaks down at this call, counted from 1; the first is that of preparing."""

    def prepare():
        calls = iter(range(1, 10**9))
        return lambda: broken() if next(calls) >= call else None

    return prepare


def breaks(result):
    raise RuntimeError("no compiler here")


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(Alternative("bad", broken), id="preparing"),
        pytest.param(Alternative("bad", lambda: broken), id="the first call"),
        pytest.param(Alternative("bad", fails_at(2)), id="the call that tells how often"),
        pytest.param(Alternative("bad", fails_at(3), every=2), id="a later round"),
        pytest.param(Alternative("bad", returning(1), check=breaks), id="checking"),
        pytest.param(Alternative("bad", returning(1), work=breaks), id="counting its work"),
    ],
)
def test_an_alternative_that_breaks_down_is_told_and_the_others_are_measured(bad):
    report = measure_case(case(Alternative("good", returning(1)), bad), SETTINGS, LIMITS)
    assert [row.alternative for row in report.rows] == ["good"]
    assert report.rows[0].rounds == QUICK_ROUNDS
    assert report.failed == {"bad": "RuntimeError: no compiler here"}


def test_a_case_of_which_nothing_runs_is_a_report_of_failures():
    report = measure_case(case(Alternative("one", broken), Alternative("two", lambda: broken)), SETTINGS, LIMITS)
    assert report.rows == []
    assert set(report.failed) == {"one", "two"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "baseline",
    [
        pytest.param(Alternative("baseline", broken), id="broken"),
        pytest.param(Alternative("baseline", returning(2), check=wrong), id="wrong"),
        pytest.param(Alternative("baseline", broken, unsupported_reason="not installed"), id="absent"),
    ],
)
def test_without_a_right_baseline_there_are_no_ratios(baseline):
    others = (Alternative("a", returning(1)), Alternative("b", returning(1)))
    report = measure_case(case(baseline, *others), SETTINGS, LIMITS)
    assert report.baseline == "baseline"
    assert [(row.alternative, row.ratio) for row in report.rows] == [("a", None), ("b", None)]


def test_an_alternative_that_is_not_installed_is_told():
    absent = Alternative("absent", broken, unsupported_reason="not installed: pip install it")
    report = measure_case(case(Alternative("here", returning(1)), absent), SETTINGS, LIMITS)
    assert report.missing == {"absent": "not installed: pip install it"}
    assert report.failed == {}


def test_equal_names_are_refused():
    with pytest.raises(ValueError, match="several alternatives of a case are named twice; names must differ"):
        measure_case(case(Alternative("twice", returning(1)), Alternative("twice", returning(2))), SETTINGS, LIMITS)


def refusing():
    raise NotImplementedError("needs a GPU")


@pytest.mark.parametrize("prepare", [refusing, lambda: refusing], ids=["preparing", "the first call"])
def test_one_from_outside_that_refuses_is_missing_and_one_of_ours_has_failed(prepare):
    theirs, ours = Alternative("theirs", prepare, origin="yours"), Alternative("ours", prepare)
    report = measure_case(case(Alternative("here", returning(1)), theirs, ours), SETTINGS, LIMITS)
    assert report.missing == {"theirs": "it refuses: needs a GPU"}
    assert report.failed == {"ours": "NotImplementedError: needs a GPU"}


def test_a_failure_while_counting_keeps_the_time_and_is_noted(monkeypatch):
    monkeypatch.setattr("aaeframe.benchmarking.measure.costs", lambda call, device: broken())
    report = measure_case(case(Alternative("it", returning(1))), SETTINGS, LIMITS)
    (row,) = report.rows
    assert (row.memory, row.counts, row.ratio) == (None, {}, 1.0)
    assert report.failed == {}
    assert report.uncounted == {"it": "RuntimeError: no compiler here"}
    told = notes(Report("", "", True, this_machine(SETTINGS.device), LIMITS, [report]))
    assert "no memory, no counts: it: RuntimeError: no compiler here" in told


@pytest.mark.parametrize("counted", ["operations", "kernels"])
def test_the_note_names_the_counts_of_the_table(monkeypatch, counted):
    monkeypatch.setattr("aaeframe.benchmarking.measure.costs", lambda call, device: {counted: 3})
    report = measure_case(case(Alternative("it", returning(1))), SETTINGS, LIMITS)
    told = notes(Report("", "", True, this_machine(SETTINGS.device), LIMITS, [report]))
    (meaning,) = [it for it in told if it.startswith("ratio: ")]
    assert [name for name in ("operations:", "kernels:") if name in meaning] == [f"{counted}:"]


@pytest.mark.slow
def test_measuring_leaves_the_random_state_alone_and_reports_as_json(tmp_path):
    before, told = torch.get_rng_state(), []

    report = measure(["loss"], SETTINGS, command="aaeframe bench", announce=told.append)

    assert torch.equal(torch.get_rng_state(), before)
    assert told == ["the machine's limits", "loss rows=16 width=32"]
    path = tmp_path / "report.json"
    write_json(Output.named(path, [".json"]), report.to_json())
    stored = json.loads(path.read_text())
    assert stored["command"] == "aaeframe bench"
    assert stored["machine"]["threads"] == torch.get_num_threads()
    assert stored["machine"]["versions"]["torch"] == torch.__version__
    assert stored["limits"]["gemm"]["fp32"] > 0
    assert stored["cases"][0]["rows"][0]["ratio"] == 1.0


def test_a_report_that_cannot_be_written_is_an_error_in_words(tmp_path):
    with pytest.raises(RunError, match="cannot write /dev/full: No space left on device"):
        write_json(Output.named("/dev/full", [".json"]), {})


def test_every_suite_is_there():
    assert all(callable(suite.load()) for suite in SUITES.values())
