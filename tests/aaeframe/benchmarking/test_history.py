"""The history: whole lines, commits, machines apart, and its plot."""

from __future__ import annotations

import json
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from aaeframe.benchmarking import history as history_module
from aaeframe.benchmarking.history import (
    Commit,
    RecordedCase,
    RecordedRow,
    RecordedRun,
    append,
    as_json,
    commit_of,
    curves,
    read,
    recorded,
)
from aaeframe.benchmarking.limits import Limits
from aaeframe.benchmarking.plots import PANELS, ratios_over_commits, times_over_size
from aaeframe.benchmarking.report import BenchRow, CaseReport, Machine, Report
from aaeframe.errors import ConfigError


def row(name, seconds=1.0, **fields):
    times = {"seconds": seconds, "lower_quartile": seconds, "upper_quartile": seconds, "fastest": seconds}
    others = {"ours": False, "rounds": 13, "ratio": 1.0, "throughput": 1.0, "limit_fraction": None, "facts": {}}
    return BenchRow(name, **{**times, **others, **fields})


def report(*cases, noise=(), swept=None):
    machine = Machine("cpu", "a processor, 2 cores", 2, 0.1, {"torch": "2"})
    limits = Limits(gemm={}, by={}, absent={}, copy=1.0)
    return Report("2026-01-01T00:00:00Z", "aaeframe bench", False, machine, limits, cases, swept, noise)


def run(date="2026-01-01T00:00:00Z", ratio=0.5, hash="0" * 40, threads=2, noise=(), baseline="base", case="step"):
    mine = {"origin": None, "seconds": 1.0, "fastest_ratio": ratio, "counts": {"flops": 4}}
    rows = [RecordedRow(name="base", ratio=1.0, **mine), RecordedRow(name="mine", ratio=ratio, **mine)]
    return RecordedRun(
        date=date,
        command="aaeframe bench",
        quick=False,
        commit=None if hash is None else Commit(hash=hash, dirty=False),
        device="cpu (x86_64)",
        processor="a processor",
        threads=threads,
        versions={},
        noise=list(noise),
        cases=[RecordedCase(name=case, baseline=baseline, noise=[], alternatives=rows)],
    )


def test_a_line_holds_commit_machine_ratios_and_counts():
    cases = CaseReport(
        "a case", "", "things", "base", [row("base"), row("mine", origin="yours", round_ratio=0.5)], {}, {}
    )
    line = recorded(report(cases, noise=["loud"]), Commit(hash="a" * 40, dirty=True))
    stored = json.loads(line.model_dump_json())
    assert stored["commit"] == {"hash": "a" * 40, "dirty": True}
    assert (stored["processor"], stored["threads"], stored["noise"]) == ("a processor, 2 cores", 2, ["loud"])
    assert stored["cases"][0]["alternatives"][1]["ratio"] == 0.5
    assert stored["cases"][0]["alternatives"][1]["origin"] == "yours"
    assert line.label == "aaaaaaaaa+"


def test_lines_are_appended_and_read_in_order(tmp_path):
    path = tmp_path / "history.jsonl"
    for ratio in (0.5, 0.6):
        append(path, run(ratio=ratio))
    assert [it.cases[0].alternatives[1].ratio for it in read(path)] == [0.5, 0.6]
    assert path.read_bytes().count(b"\n") == 2


def test_lines_of_many_at_once_are_whole(tmp_path):
    path = tmp_path / "history.jsonl"
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: append(path, run(ratio=number)), range(40)))
    assert sorted(it.cases[0].alternatives[1].ratio for it in read(path)) == list(range(40))


def test_an_unfinished_last_line_is_not_read_and_is_removed_by_the_next(tmp_path):
    path = tmp_path / "history.jsonl"
    append(path, run(ratio=0.5))
    with path.open("ab") as file:
        file.write(b'{"date": "2026')
    assert len(read(path)) == 1
    append(path, run(ratio=0.6))
    assert [it.cases[0].alternatives[1].ratio for it in read(path)] == [0.5, 0.6]
    path.write_bytes(path.read_bytes().rstrip(b"\n"))  # by an editor
    append(path, run(ratio=0.7))
    assert len(read(path)) == 3


@pytest.mark.parametrize("line", ["[]", "{}", "a word", '{"date": 3}'])
def test_another_file_is_refused_by_its_line(tmp_path, line):
    path = tmp_path / "history.jsonl"
    append(path, run())
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(ConfigError, match=r"history\.jsonl, line 2 is not of a history of `aaeframe bench --append`"):
        read(path)


def test_a_foreign_line_is_refused_with_its_field_and_a_large_file_with_its_size(tmp_path):
    path = tmp_path / "history.jsonl"
    path.write_text('{"date": 3}\n')
    with pytest.raises(ConfigError, match=r"date: .* found 3; name another file"):
        read(path)
    with path.open("r+b") as file:
        file.truncate(2**28 + 1)
    with pytest.raises(ConfigError, match=r"too large for a history: it has 268435457 bytes, .* move older lines"):
        read(path)


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A repository with a commit; `git(...)` runs a command in it."""
    for name in ("GIT_DIR", "GIT_WORK_TREE"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "repository"
    folder.mkdir()

    def git(*arguments):
        who = ["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false"]
        done = subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    git("init", "-q")
    (folder / "kernel.py").write_text("1")
    (folder / "inner").mkdir()
    (folder / "inner" / "history.jsonl").write_text("")
    git("add", ".")
    git("commit", "-qm", "a commit")
    return folder, git


def test_the_commit_is_that_of_the_folder_and_dirty_by_tracked_files_but_the_history(repository):
    folder, git = repository
    history = folder / "inner" / "history.jsonl"
    clean = Commit(hash=git("rev-parse", "HEAD"), dirty=False)
    assert commit_of(folder / "inner", history) == clean
    history.write_text("{}")
    (folder / "untracked").write_text("")
    assert commit_of(folder / "inner", history) == commit_of(folder, history) == clean
    assert commit_of(folder, folder.parent / "elsewhere.jsonl").dirty
    (folder / "kernel.py").write_text("2")
    assert commit_of(folder / "inner", history).dirty


def test_a_status_that_fails_counts_as_dirty(repository, monkeypatch):
    run_git = history_module._git
    monkeypatch.setattr(
        history_module, "_git", lambda folder, *given: None if given[0] == "status" else run_git(folder, *given)
    )
    assert commit_of(repository[0], repository[0] / "history.jsonl").dirty


def test_outside_a_repository_or_without_git_there_is_no_commit(tmp_path, monkeypatch, repository):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert commit_of(tmp_path, tmp_path / "history.jsonl") is None
    monkeypatch.setenv("PATH", "")
    assert commit_of(repository[0], tmp_path / "history.jsonl") is None
    assert run(hash=None).label == "2026-01-01T00:00:00Z"


def test_machines_cases_and_baselines_are_apart():
    runs = [
        run("1", 0.5, "a" * 40),
        run("2", 0.4, "b" * 40, noise=["loud"]),
        run("3", 9.0, "b" * 40, threads=1),
        run("4", 8.0, baseline="another"),
        run("5", 7.0, case="loss"),
        run("6", 6.0).model_copy(update={"quick": True}),
    ]
    first, *others = curves(runs)
    assert (first.machine, first.case, first.baseline) == ("a processor, threads=2", "step", "base")
    assert [(it.label, it.ratio, it.noisy) for it in first.points["mine"]] == [
        ("aaaaaaaaa", 0.5, False),
        ("bbbbbbbbb", 0.4, True),
    ]
    assert [(it.machine, it.case, it.baseline) for it in others] == [
        ("a processor, threads=1", "step", "base"),
        ("a processor, threads=2", "step", "another"),
        ("a processor, threads=2", "loss", "base"),
        ("a processor, threads=2, --quick", "step", "base"),
    ]
    assert [it.case for it in curves(runs, ["lo"])] == ["loss"]
    assert as_json([first])[0]["points"]["mine"][1]["ratio"] == 0.4


def test_the_plot_of_a_history_has_a_panel_for_each_curve_and_hollow_points_of_noisy_runs():
    found = curves([run("1", 0.5), run("2", 0.4, noise=["loud"]), run("3", 0.3), run("1", 2.0, threads=1)])
    figure = ratios_over_commits(found)
    first, second = figure.axes
    line, quiet, noisy, one = first.lines
    assert list(line.get_ydata()) == [0.5, 0.4, 0.3]
    assert list(quiet.get_ydata()) == [0.5, 0.3]
    assert (list(noisy.get_ydata()), noisy.get_markerfacecolor()) == ([0.4], "none")
    assert list(one.get_ydata()) == [1.0, 1.0]
    assert "threads=1" in second.get_title(loc="left")
    with pytest.raises(ConfigError, match="nothing to plot"):
        ratios_over_commits([])
    with pytest.raises(ConfigError, match="choose by --case"):
        ratios_over_commits(found * PANELS)


def test_the_plot_of_a_sweep_has_a_line_and_a_band_for_each_alternative_of_each_kind():
    def case(kind, size):
        rows = [
            row("base", 1.0 * size, quantile_20=0.5 * size, quantile_80=2.0 * size),
            row("mine", 3.0 * size, origin="yours"),
        ]
        return CaseReport(f"{kind} {size}", "", "", "base", rows, {}, {}, kind, {"rows": 7, "samples": size})

    figure = times_over_size(report(case("a", 10), case("b", 10), case("a", 100), case("b", 100), swept="samples"))
    first, second = figure.axes
    assert [(list(it.get_xdata()), list(it.get_ydata())) for it in first.lines] == [
        ([10, 100], [10.0, 100.0]),
        ([10, 100], [30.0, 300.0]),
    ]
    band = first.collections[0].get_paths()[0].vertices
    assert (band[:, 1].min(), band[:, 1].max()) == (5.0, 200.0)
    assert [it.get_text() for it in first.get_legend().get_texts()] == ["base", "mine (yours)"]
    assert first.get_title(loc="left") == "a rows=7"
    assert second.get_title(loc="left") == "b rows=7"
    assert first.get_xlabel() == "samples"


def test_a_sweep_of_which_nothing_was_timed_has_no_plot():
    empty = CaseReport("a", "", "", "base", [], {}, {"base": "no"}, "a", {"rows": 1})
    with pytest.raises(ConfigError, match="no alternative has a time"):
        times_over_size(report(empty, swept="rows"))
