"""Runs on data of which only some rows have a label, from training to figures."""

from __future__ import annotations

import numpy as np
import pytest

import aaeframe
from aaeframe.data import from_arrays
from aaeframe.errors import DataError
from aaeframe.figures import points

COUNT = 400
CLASSES = np.random.default_rng(0).permutation(COUNT) % 3
X = np.random.default_rng(1).normal(size=(COUNT, 4)) + 4 * np.eye(4)[CLASSES]
PARTIAL = np.where(np.arange(COUNT) % 4 == 0, CLASSES, -1)
SMALL = {
    "network": "mlp(hidden=[16])",
    "discriminator": "mlp(hidden=[8])",
    "epochs": 2,
    "batch_size": 40,
    "device": "cpu",
}
BLOCKS = "y=categorical(classes=3)+style=gaussian(size=2)"
MISSING = {
    "-1": PARTIAL,
    "NaN": np.where(PARTIAL < 0, np.nan, PARTIAL),
    "text": np.where(PARTIAL < 0, "", np.array(["a", "b", "c"])[CLASSES]),
    "None": [None if label < 0 else int(label) for label in PARTIAL],
}


def trained(known=PARTIAL, **options):
    given = {"recipe": "semi-supervised", "prior": BLOCKS, "labels": "all", "keep": False} | options
    return aaeframe.train((X, known), **SMALL, **given)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["semi-supervised", "reduction"])
def test_a_recipe_learns_from_the_labels_there_are_and_is_measured_on_labeled_rows(recipe):
    run, data = trained(recipe=recipe), from_arrays(X, PARTIAL)
    known = len(data.test.labeled)
    assert 0 < known < len(data.test)
    report = run.evaluate(data)
    assert report["rows"] == len(data.test)
    assert report["classification"]["rows"] == known
    assert 0 <= run.metrics[-1]["validation/error"] <= 1


def test_labels_reach_a_recipe_that_is_told_of_them():
    run = trained(recipe="unsupervised", prior="mixture(components=3)")
    data = from_arrays(X, PARTIAL)
    report = run.evaluate(data)["blocks"]["mixture"]
    assert report["classes"]["num_labels"] == len(data.train.labeled)


@pytest.mark.slow
def test_every_way_of_having_no_label_trains_the_same_weights():
    first, *others = (trained(labels).model.state_dict() for labels in MISSING.values())
    for other in others:
        assert all(bool((first[name] == other[name]).all()) for name in first)


@pytest.mark.slow
def test_some_of_the_labels_there_are_may_be_hidden():
    run = trained()
    fewer = aaeframe.train((X, PARTIAL), recipe="semi-supervised", prior=BLOCKS, labels=9, keep=False, **SMALL)
    assert run.config.data.labels == "all"
    data = from_arrays(X, PARTIAL)
    assert fewer.evaluate(data)["classification"]["rows"] == run.evaluate(data)["classification"]["rows"]
    with pytest.raises(DataError, match=f"there are {len(data.train.labeled)} labeled examples"):
        aaeframe.train((X, PARTIAL), recipe="semi-supervised", prior=BLOCKS, labels=300, keep=False, **SMALL)


@pytest.mark.slow
def test_a_split_without_any_label_is_measured_without_classes():
    data = from_arrays(X, PARTIAL)
    labels = PARTIAL.copy()
    labels[data.test.index] = labels[data.validation.index] = -1
    data = from_arrays(X, labels)
    run = aaeframe.train(data, recipe="semi-supervised", prior=BLOCKS, labels="all", keep=False, **SMALL)
    report = run.evaluate(data)
    assert "classification" not in report
    assert "validation/error" not in run.metrics[-1]
    told = aaeframe.train(data, prior="mixture(components=3)", labels="all", keep=False, **SMALL)
    assert "classes" not in told.evaluate(data)["blocks"]["mixture"]


@pytest.mark.slow
def test_clusters_are_named_by_labeled_validation_rows_only():
    data = from_arrays(X, PARTIAL)
    run = aaeframe.train(data, recipe="clustering", prior=BLOCKS, keep=False, **SMALL)
    assert run.evaluate(data)["clustering"]["rows"] == len(data.test.labeled)
    labels = PARTIAL.copy()
    labels[data.validation.index] = -1
    assert "clustering" not in run.evaluate(from_arrays(X, labels))


@pytest.mark.slow
def test_figures_draw_rows_without_a_label_as_such(tmp_path, monkeypatch):
    seen = []
    called = points.called

    def noted(count, names):
        seen.append(called(count, names))
        return seen[-1]

    monkeypatch.setattr(points, "called", noted)
    run = trained(out=tmp_path / "run", keep=True)
    run.plot_figures(from_arrays(X, PARTIAL))
    assert ["0", "1", "2", "no label"] in [list(names) for names in seen]


def test_a_recipe_that_decodes_labels_needs_one_in_each_row():
    with pytest.raises(DataError, match="decodes each row with its label, but 246 training rows and 26 valid"):
        trained(recipe="supervised", prior="gaussian(size=2)", labels=None)
    labels = CLASSES.copy()
    labels[from_arrays(X).train.index[:7]] = -1
    with pytest.raises(DataError, match="but 7 training rows of arrays have none; use a recipe that needs few labels"):
        trained(labels, recipe="supervised", prior="gaussian(size=2)", labels=None)


def test_without_any_label_there_are_none_to_learn_from():
    with pytest.raises(DataError, match="the data arrays has no labels"):
        trained(np.full(COUNT, -1))
