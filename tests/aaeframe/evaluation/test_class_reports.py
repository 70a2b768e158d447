"""The rows that assign clusters to classes, fit the probe, and are evaluated."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn.functional import one_hot

from aaeframe.data import from_arrays
from aaeframe.errors import DataError
from aaeframe.evaluation import classification_report, clustering_report, leakage, name_clusters
from aaeframe.evaluation.class_reports import class_error, class_reports, decoder_labels, knows_classes

CLASSES, ROWS = 3, 400
RANDOM = np.random.default_rng(0)
LABELS = RANDOM.integers(0, CLASSES, ROWS)
X = np.concatenate([np.eye(CLASSES)[LABELS], RANDOM.normal(size=(ROWS, 2))], axis=1).astype(np.float32)
DATA = from_arrays(X, LABELS)
BARE = from_arrays(X)


class Model:
    """A model that reads its codes from the rows: y depends on the class, z on both. It records its calls."""

    def __init__(self, clusters=CLASSES, wrong=(), leak=0.0, class_block="y", takes_labels=False):
        self.clusters, self.wrong, self.leak = clusters, wrong, leak
        self.class_block = class_block
        self.representation = SimpleNamespace(takes_labels=takes_labels)
        self.asked = []

    def encode(self, x, *, draws, generator):
        assert draws == 1
        x = torch.as_tensor(x.array())
        self.asked.append((x, generator.initial_seed()))
        label = x[:, :CLASSES].argmax(1)
        cluster = (label + 1) % self.clusters  # no cluster is called as its class
        y = 0.9 * one_hot(cluster, self.clusters).float() + 0.1 / self.clusters
        z = x[:, CLASSES:] + self.leak * label[:, None]
        codes = {"z": z} | ({} if self.class_block is None else {self.class_block: y})
        return {name: code.unsqueeze(0) for name, code in codes.items()}

    def codes(self, rows):
        """The codes of rows to evaluate, some of which are assigned to another cluster than their class."""
        found = {name: code[0] for name, code in self.encode(rows, draws=1, generator=torch.Generator()).items()}
        for i in self.wrong:
            found["y"][i] = found["y"][i].roll(1)
        self.asked.clear()
        return found


def reported(model, judge, dataset=DATA, split="test"):
    rows = dataset.split(split)
    return class_reports(model, dataset, rows, model.codes(rows), 0, judge)


def test_as_a_classifier_a_category_is_the_class_of_its_number():
    found = reported(Model(), "classification")
    assert set(found) == {"classification", "leakage"}
    assert found["classification"]["error"] == 1.0, "each is one off"
    codes = Model().codes(DATA.test)
    assert found["classification"] == classification_report(codes["y"], torch.from_numpy(DATA.test.labels)).as_dict()


def test_as_clusters_they_are_named_by_validation_rows_and_judged_by_others():
    model = Model(wrong=[0, 1])
    found = reported(model, "clustering")
    assert set(found) == {"clustering", "leakage"}
    assert found["clustering"]["names"] == [2, 0, 1]
    assert found["clustering"]["error"] == pytest.approx(2 / len(DATA.test))
    assert found["clustering"]["rows"] == len(DATA.test)
    named, fitted = model.asked
    assert np.array_equal(named[0], DATA.validation.array())
    assert np.array_equal(fitted[0], DATA.train.array())
    assert named[1] != fitted[1], "a stream of noise for each"


def test_the_report_is_the_same_every_time():
    assert reported(Model(leak=0.3), "clustering") == reported(Model(leak=0.3), "clustering")


def test_more_clusters_than_classes_will_do():
    found = reported(Model(clusters=7), "clustering")
    assert len(found["clustering"]["names"]) == 7
    assert found["clustering"]["error"] == 0.0
    assert found["clustering"]["clusters_used"] == CLASSES


@pytest.mark.parametrize("split", ["validation", "test", "train"])
def test_any_split_may_be_judged(split):
    assert reported(Model(), "clustering", split=split)["clustering"]["rows"] == len(DATA.split(split))


@pytest.mark.parametrize(("leak", "least", "most"), [(0.0, 0.2, 0.55), (5.0, 0.95, 1.0)])
def test_the_leakage_is_of_the_style_and_fitted_to_training_rows(leak, least, most):
    found = reported(Model(leak=leak), "classification")["leakage"]
    assert set(found) == {"z"}, "the class block is to know the class"
    assert least <= found["z"]["accuracy"] <= most
    assert found["z"]["fit_rows"] == len(DATA.train)
    assert found["z"]["rows"] == len(DATA.test)
    fit, rows = Model(leak=leak).codes(DATA.train)["z"], Model(leak=leak).codes(DATA.test)["z"]
    labels = (torch.from_numpy(part.labels) for part in (DATA.train, DATA.test))
    known, truth = labels
    assert found["z"] == leakage(fit, known, rows, truth, num_classes=CLASSES).as_dict()


def test_a_decoder_that_is_told_labels_is_asked_for_leakage_alone():
    assert set(reported(Model(class_block=None, takes_labels=True), None)) == {"leakage"}


def test_a_model_of_no_classes_is_not_judged():
    model = Model(class_block=None)
    assert reported(model, None) == {}
    assert model.asked == []


def test_without_labels_there_is_nothing_to_report():
    for judge in ("classification", "clustering"):
        assert reported(Model(), judge, BARE) == {}


def test_clusters_without_labeled_validation_rows_are_left_out():
    """Rows that are judged may have labels of their own."""
    model, rows = Model(), DATA.test
    assert class_reports(model, BARE, rows, model.codes(rows), 0, "clustering") == {"leakage": {}}


def test_training_rows_without_labels_fit_no_probe():
    model, rows = Model(), DATA.test
    assert class_reports(model, BARE, rows, model.codes(rows), 0, "classification")["leakage"] == {}


def test_the_quick_look_is_the_error_of_the_report():
    model = Model(wrong=[0, 5, 7])
    y, labels = model.codes(DATA.test)["y"], torch.from_numpy(DATA.test.labels)
    named = model.codes(DATA.validation)["y"], torch.from_numpy(DATA.validation.labels)
    assert class_error(y, labels, *named, "classification") == classification_report(y, labels).error
    assert class_error(y, labels, *named, "clustering") == clustering_report(y, labels, name_clusters(*named)).error


def test_who_knows_classes():
    assert knows_classes(Model())
    assert knows_classes(Model(class_block=None, takes_labels=True))
    assert not knows_classes(Model(class_block=None))


def test_a_decoder_is_told_the_labels_of_the_rows_it_decodes():
    told = Model(class_block=None, takes_labels=True)
    assert torch.equal(decoder_labels(told, DATA.test), torch.from_numpy(DATA.test.labels))
    assert decoder_labels(Model(), DATA.test) is None
    assert decoder_labels(Model(), BARE.test) is None
    with pytest.raises(DataError, match="decodes a code together with its class; 40 of 40 rows have no label"):
        decoder_labels(told, BARE.test)
