from __future__ import annotations

import shutil

import numpy as np
import pytest
from small_runs import ROWS

import aaeframe
from aaeframe.errors import ConfigError, DataError, RunError


@pytest.fixture
def run(tmp_path, finished):
    """A copy of a run on rows from Python."""
    return aaeframe.load(shutil.copytree(finished.folder.path, tmp_path / "my run"), data=ROWS)


def test_a_report_is_one_file_named_after_the_run(run, tmp_path):
    path = run.report(points=5)

    assert path == run.folder.path / "report.html"
    assert "<h1>my run</h1>" in path.read_text()
    assert run.report(tmp_path / "again.html", points=np.int64(5)).read_bytes() == path.read_bytes()


def test_each_use_of_test_rows_is_counted_and_no_other(run, tmp_path):
    def uses():
        log = run.folder.test_accesses
        return len(log.read_text().splitlines()) if log.exists() else 0

    before, others = uses(), run.unseen(ROWS[::-1].copy())
    run.plot_figures(others, split="test", out=str(tmp_path / "others"))
    run.evaluate(others)
    assert uses() == before
    run.plot_figures(split="all", out=tmp_path / "all")
    assert uses() == before + 1
    run.evaluate(split="all")
    assert uses() == before + 2
    with pytest.raises(DataError, match="one at least, found 0"):
        run.likelihood(samples=0)
    assert uses() == before + 2


def test_one_metric_need_not_be_in_a_list(run):
    def constant(evaluated):
        return 1.5

    assert run.evaluate(metrics=constant, two_sample=False)["metrics"] == {"constant": 1.5}


def test_a_run_without_test_rows_uses_none(tmp_path):
    data = aaeframe.data.from_arrays(ROWS, held_out=(0, 0))
    run = aaeframe.train(data, network="mlp(hidden=[8])", epochs=1, batch_size=20, out=tmp_path / "run")
    run.evaluate(split="all", two_sample=False)
    assert not run.folder.test_accesses.exists()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"split": "all"}, "found split='all'"),
        ({"points": 0}, "found points=0"),
        ({"points": 5.5}, "found points=5.5"),
        ({"out": "page.txt"}, "out= page.txt"),
    ],
    ids=["split", "points", "part of a point", "out"],
)
def test_what_a_report_cannot_show_is_refused(run, given, words):
    with pytest.raises(ConfigError, match=words):
        run.report(**given)

    assert not (run.folder.path / "report.html").exists()


def test_a_run_in_memory_needs_a_place():
    run = aaeframe.train(
        ROWS, network="mlp(hidden=[8])", discriminator="mlp(hidden=[8])", epochs=1, batch_size=20, keep=False
    )

    with pytest.raises(RunError, match="this run is in memory and has no folder"):
        run.report()
