"""The comparison of anomaly scores: what it measures, that it continues, and its table."""

from __future__ import annotations

import json

import numpy as np
import pytest


@pytest.fixture
def anomaly(script):
    return script("anomaly")


@pytest.fixture
def sets(tmp_path, monkeypatch):
    """Two sets in the form of ADBench, whose last fifth of rows is odd."""
    (tmp_path / "adbench").mkdir()
    rng = np.random.default_rng(0)
    for name in ("1_near", "2_far"):
        y = (np.arange(50) >= 40).astype(int)
        x = rng.normal(size=(50, 3)) + (9 if name == "2_far" else 1) * y[:, None]
        np.savez(tmp_path / "adbench" / f"{name}.npz", X=x, y=y)
    monkeypatch.setenv("AAEFRAME_DATA", str(tmp_path))


def test_rows_are_stratified_and_standardized_by_the_training_rows(anomaly, sets):
    train, test, labels = anomaly.table_rows(anomaly.table_sets()["far"], 0)

    assert (len(train), len(test), labels.sum()) == (35, 15, 3)
    np.testing.assert_allclose([train.mean(0), train.std(0)], [[0] * 3, [1] * 3], atol=1e-6)


def test_a_stopped_comparison_continues_and_its_table_has_the_best_first(anomaly, sets, tmp_path, monkeypatch, capsys):
    calls = []

    def far(train, test, seed):
        calls.append(seed)
        return {"aaeframe density": test.sum(1), "worse": -test.sum(1)}

    def even(train, test, seed):
        return np.zeros(len(test))

    monkeypatch.setattr(anomaly, "METHODS", {"aaeframe": far, "even": even})
    monkeypatch.setattr(anomaly, "device", dict)  # of the versions of pyod, which need not be installed
    file = tmp_path / "found.json"

    for seeds in ("1", "2"):
        assert anomaly.main(["tables", str(file), "--seeds", seeds]) == 0

    assert calls == [0, 0, 1, 1]
    cells = json.loads(file.read_text())["cells"]
    (cell,) = (it for it in cells if (it["set"], it["seed"], it["method"]) == ("far", 1, "worse"))
    assert cell["auroc"] == 0.0
    capsys.readouterr()
    assert anomaly.main(["show", str(file)]) == 0
    first, _, *rows = capsys.readouterr().out.splitlines()
    assert first == "| auroc | near | far | mean | seeds |"
    assert [row.split(" | ")[0] for row in rows[:3]] == ["| aaeframe density", "| even", "| worse"]
    assert rows[0].split(" | ")[2:] == ["100.0", rows[0].split(" | ")[3], "2 |"]
