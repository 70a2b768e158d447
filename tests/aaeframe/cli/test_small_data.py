"""Data too small or too plain to measure: a run ends well, and says of each measure that is absent why."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from aaeframe.errors import DataError, RunError

SMALL = ("--network", "mlp(hidden=[8])", "--discriminator", "mlp(hidden=[8])", "--epochs", "1")
RANDOM = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)
DATA = {
    "12 rows": (RANDOM[:12], {"mmd", "shuffled_error"}),
    "40 rows": (RANDOM, set()),
    "12 images": (np.abs(RANDOM[:12].repeat(16, 1).reshape(12, 1, 8, 8)) % 1, {"mmd", "shuffled_error"}),
    "constant": (np.full((60, 4), 3, np.float32), {"ratio"}),
    "constant images": (np.full((60, 1, 8, 8), 3, np.float32), {"ratio"}),
}


@pytest.fixture(params=DATA.values(), ids=DATA.keys())
def data(request, tmp_path):
    """A file, and the measures that its rows do not allow."""
    values, absent = request.param
    np.save(tmp_path / "rows.npy", values)
    return tmp_path / "rows.npy", absent


def test_a_run_ends_well_and_is_printed_in_tables(done, data, tmp_path):
    path, absent = data
    printed = done("train", "--data", path, *SMALL, "--out", tmp_path / "run").out
    report = json.loads((tmp_path / "run/evaluation.json").read_text())["validation"]
    numbers = {**report["blocks"]["gaussian"], **report["reconstruction"]}
    tracked = {"mmd", "shuffled_error", "ratio", "sliced_wasserstein", "error"}
    assert {name for name in tracked if numbers[name] is None} == absent
    assert {"codes-gaussian.png", "reconstructions.png", "samples.png", "losses.png"} <= {
        path.name for path in (tmp_path / "run/figures").iterdir()
    }
    assert ("too few rows" in printed) == bool(absent - {"ratio"})
    assert re.search(r"classifier two-sample accuracy │ +not tested │ +not tested │", printed)
    assert f"match     aaeframe evaluate {tmp_path / 'run'} --split validation" in printed.splitlines()
    assert ("constant data" in printed) == ("ratio" in absent)
    assert f"run       {tmp_path / 'run'}" in printed.splitlines()


@pytest.mark.slow
@pytest.mark.parametrize("broken", ["evaluate", "plot_figures", "dataset"])
@pytest.mark.parametrize("form", [[], ["--json"]], ids=["tables", "json"])
def test_what_fails_after_training_does_not_hide_the_rest(cli, table, tmp_path, monkeypatch, broken, form):
    def fail(*_, **__):
        raise DataError("no more")

    monkeypatch.setattr(f"aaeframe.runs.run.Run.{broken}", fail)
    outcome = cli("train", "--data", table, *SMALL, "--out", tmp_path / "run", *form)
    assert outcome.code == 2
    assert "error: no more" in outcome.err
    assert str(tmp_path / "run") in outcome.out
    assert ("sliced" in outcome.out) == (broken == "plot_figures")
    assert (".png" in outcome.out) == (broken == "evaluate")


def test_each_failure_is_told(cli, table, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise RunError("no figures")

    monkeypatch.setattr("aaeframe.runs.run.Run.plot_figures", fail)
    monkeypatch.setattr(
        "aaeframe.storage.run_folder.RunFolder.write_evaluation", lambda *_: (_ for _ in ()).throw(RunError("full"))
    )
    outcome = cli("train", "--data", table, *SMALL, "--out", tmp_path / "run")
    assert outcome.code == 2
    assert [line for line in outcome.err.splitlines() if line.startswith("error")] == [
        "error: full",
        "error: no figures",
    ]
