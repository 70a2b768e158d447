"""benchmarks/shared_errors.py: the errors of runs, and those that they share."""

from __future__ import annotations

import numpy as np
import pytest

import aaeframe


@pytest.fixture
def shared_errors(script):
    return script("shared_errors")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two of clusters with different seeds, and one without clusters."""
    folder = tmp_path_factory.mktemp("runs")

    def trained(name, **settings):
        settings = {"network": "mlp(hidden=[8])", "epochs": 1, **settings}
        return str(aaeframe.train("digits", out=folder / name, **settings).folder.path)

    clusters = {"recipe": "clustering", "prior": "categorical(classes=12)+gaussian"}
    return [*(trained(str(seed), seed=seed, **clusters) for seed in (0, 1)), trained("none", prior="gaussian")]


def test_a_cluster_stands_for_its_most_frequent_class(shared_errors):
    q = np.eye(3)[[0, 0, 0, 2, 2]]
    assert shared_errors.predicted(q, np.array([4, 1, 4, 3, 3])).tolist() == [4, 4, 4, 3, 3]


def test_shared_errors_are_counted_by_pairs(shared_errors):
    wrong = np.array([[True, True, False], [False, True, False]])
    assert shared_errors.shared(wrong).tolist() == [[2, 1], [1, 1]]


def test_from_runs_to_the_table_and_the_picture(shared_errors, runs, tmp_path, capsys):
    picture = tmp_path / "shared.png"
    shared_errors.main([runs[0], runs[1], "--plot", str(picture)])
    first, second, total = capsys.readouterr().out.splitlines()
    (mine, both), (again, other) = ([int(it) for it in line.split()[:2]] for line in (first, second))
    assert both == again <= min(mine, other)
    assert total.endswith(f" {mine + other - both} are wrong in a run, {both} in all 2")
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_run_without_classes_is_refused(shared_errors, runs, capsys):
    with pytest.raises(SystemExit) as ended:
        shared_errors.main([runs[0], runs[2]])
    assert ended.value.code == 2
    assert "none has neither classes nor clusters" in capsys.readouterr().err
