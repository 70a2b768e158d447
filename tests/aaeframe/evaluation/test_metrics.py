"""Metrics by name and from Python: their numbers, and that a failing one harms nothing."""

from __future__ import annotations

import dataclasses
import json
import sys

import numpy as np
import pytest
import torch

import aaeframe
from aaeframe.cli import main
from aaeframe.components.registry import Registry
from aaeframe.errors import ConfigError, OptionError, UnknownComponent
from aaeframe.evaluation import Evaluated, mmd
from aaeframe.evaluation.evaluate import one_draw
from aaeframe.evaluation.metrics import measure, named_metrics, numbers
from aaeframe.seeds import generator
from aaeframe.testing import checks_for

SOURCE = """
from aaeframe import Component, hookimpl

@hookimpl
def aaeframe_metrics():
    names = ("rows", "spread", "failing", "broken", "texts", "infinite", "spoiling", "seeding", "leaving")
    far = Component("missing", "aaeframe_counts.nowhere:metric", "the metric missing")
    return [*(Component(it, f"aaeframe_counts:{it}", f"the metric {it}") for it in names), far]

def rows(*, scale: float = 1.0):
    print("counting")
    return lambda evaluated: scale * len(evaluated.rows)

def spread():
    import torch
    return lambda evaluated: {name: z.std() + 0 * torch.rand(()) for name, z in evaluated.codes.items()}

def failing():
    return lambda evaluated: 1 / 0

def broken(*, license: str = ""):
    raise RuntimeError("no license")

def texts():
    return lambda evaluated: "three"

def infinite():
    return lambda evaluated: {"a": 1.0, "b": float("inf")}

def spoiling():
    def spoil(evaluated):
        for parameter in evaluated.model.parameters():
            parameter.data.zero_()
        evaluated.model.train()
        return 1.0
    return spoil

def seeding():
    import numpy as np
    return lambda evaluated: np.random.seed() or 1.0

def leaving():
    raise SystemExit(3)
"""
FAILING = {
    "failing": "ZeroDivisionError: division by zero",
    "broken": "the metric 'broken' of aaeframe-counts 1.0 fails: RuntimeError: no license",
    "missing": "the metric 'missing' of aaeframe-counts 1.0 cannot be loaded from aaeframe_counts.nowhere:metric",
    "texts": "TypeError: it returns str; return a number, or a mapping of names to numbers",
    "infinite": "ValueError: it returns inf for 'b', which is not a finite number",
    "spoiling": "RuntimeError: it changed the model, which was restored: ",
    "seeding": "RuntimeError: it changed what all code shares, which was restored: the random state of numpy",
    "leaving": "the metric 'leaving' of aaeframe-counts 1.0 fails: SystemExit: 3",
}


DRAWN = iter(np.random.default_rng().random(100))
"""Other numbers in each call."""


@pytest.fixture
def counts(install):
    """The plugin of SOURCE, and the registry with it."""
    modules = {"aaeframe_counts.__init__": SOURCE, "aaeframe_counts.nowhere": "1 / 0"}
    install("aaeframe-counts", modules, {"counts": "aaeframe_counts"})
    return Registry.load()


@pytest.fixture(scope="module")
def run():
    """A run in memory on 60 labeled rows, with a class block and a labeled prior."""
    x = np.random.default_rng(0).normal(size=(60, 4)).astype("float32")
    return aaeframe.train(
        (x, np.arange(60) % 3),
        prior="y=categorical(classes=3)+z=mixture(components=3)",
        recipe="clustering",
        network="mlp(hidden=[8])",
        discriminator="mlp(hidden=[8])",
        epochs=1,
        keep=False,
        held_out=(20, 20),
    )


def silent(sentence):
    """For warnings that are not looked at."""


@pytest.fixture(scope="module")
def report(run):
    """The report without metrics."""
    return run.evaluate(warn=silent)


@pytest.fixture(scope="module")
def evaluated(run):
    data = run.dataset()
    codes = one_draw(run.model, data.test, generator(0, "codes"))
    return Evaluated(run.model, data, "test", codes, 0)


@pytest.mark.slow
def test_ours_are_the_measures_of_the_report_which_stays_as_it_is(run, report):
    asked = ["mmd", "sliced-wasserstein(projections=50)", "two-sample", "class-agreement", "clusters"]
    found = run.evaluate(metrics=asked, warn=silent)

    metrics = found.pop("metrics")
    assert found == report
    assert list(metrics) == asked
    assert metrics["clusters"] == {key: float(it) for key, it in report["clustering"].items() if key != "names"}
    assert metrics["class-agreement"] == {"z": report["blocks"]["z"]["classes"]["agreement"]}
    assert metrics["mmd"].keys() == metrics["two-sample"].keys() == {"y", "z"}
    distance = report["blocks"]["z"]["sliced_wasserstein"]  # of 50 sets of prior samples where the metric has one
    assert metrics["sliced-wasserstein(projections=50)"]["z"] == pytest.approx(distance, rel=0.5)


def test_a_metric_is_given_rows_codes_labels_and_prior_samples(run, evaluated):
    data = run.dataset()

    np.testing.assert_array_equal(evaluated.rows.array(), data.test.array())
    assert evaluated.labels.tolist() == data.test.labels.tolist()
    shapes = {name: z.shape for name, z in evaluated.codes.items()}
    assert {name: z.shape for name, z in evaluated.prior_samples.items()} == shapes == {"y": (20, 3), "z": (20, 2)}


def test_a_function_is_a_metric_by_its_name(evaluated):
    def distance(it):
        return mmd(it.codes["z"], it.prior_samples["z"])

    found = measure(named_metrics([distance], Registry.load()), evaluated)

    assert found == {"metrics": {"distance": distance(evaluated)}}


def test_options_prints_and_the_random_state(evaluated, counts, capsys):
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first = measure(named_metrics(["rows(scale=2.0)", "rows", "aaeframe-counts:spread"], counts), evaluated)["metrics"]
    second = measure(named_metrics(["spread"], counts), evaluated)["metrics"]

    assert (first["rows(scale=2.0)"], first["rows"]) == (40.0, 20.0)
    assert first["spread"] == second["spread"]
    assert torch.equal(torch.get_rng_state(), state)
    assert capsys.readouterr().out == ""  # what a factory prints is no result


@pytest.mark.slow
def test_a_failing_metric_is_a_warning_and_a_missing_number(run, report, counts):
    weights = {name: value.clone() for name, value in run.model.state_dict().items()}
    warned = []

    found = dataclasses.replace(run, registry=counts).evaluate(metrics=[*FAILING, "rows"], warn=warned.append)

    metrics, errors = found.pop("metrics"), found.pop("metric_errors")
    assert found == report
    assert metrics == {**dict.fromkeys(FAILING), "rows": 20.0}
    assert errors.keys() == FAILING.keys()
    for name, message in FAILING.items():
        assert errors[name].startswith(message), name
        assert any(f"the metric {name} failed, and its number is missing: {message}" in it for it in warned)
    assert all(torch.equal(value, weights[name]) for name, value in run.model.state_dict().items())
    assert not run.model.training


def test_metrics_change_nothing_for_each_other(evaluated):
    def zeros(it):
        for part in (*it.codes.values(), *it.prior_samples.values()):
            part.zero_()
        return 0.0

    def doubles(it):
        it.model.double()
        return 0.0

    def cuts(it):
        it.model.decoder = torch.nn.Identity()
        return 0.0

    def sizes(it):
        return float(sum(z.abs().sum() for z in (*it.codes.values(), *it.prior_samples.values())))

    before = {name: value.clone() for name, value in evaluated.model.state_dict().items()}
    found = measure(named_metrics([zeros, doubles, cuts, sizes], Registry.load()), evaluated)
    assert found["metrics"]["sizes"] == sizes(evaluated) > 0
    assert found["metric_errors"].keys() == {"doubles", "cuts"}
    after = evaluated.model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_metrics_change_no_rows_and_labels_for_each_other(evaluated):
    whole = {
        name: dataclasses.replace(part, data=part.array(), index=None) for name, part in _splits(evaluated.dataset)
    }
    evaluated = dataclasses.replace(evaluated, dataset=dataclasses.replace(evaluated.dataset, **whole))

    def zeros(it):
        for _, part in _splits(it.dataset):
            part.array()[:] = 0
            part.labels[:] = 0
        return 0.0

    def inside(it):
        it.dataset.train.data[:] = 0
        return 0.0

    def sizes(it):
        return float(sum(np.abs(part.array()).sum() + part.labels.sum() for _, part in _splits(it.dataset)))

    before = sizes(evaluated)
    found = measure(named_metrics([zeros, inside, sizes], Registry.load()), evaluated)
    assert found["metrics"]["sizes"] == before == sizes(evaluated)
    assert found["metric_errors"].keys() == {"inside"}


def _splits(dataset):
    return [(name, getattr(dataset, name)) for name in ("train", "validation", "test")]


def test_two_functions_of_one_name_are_refused():
    with pytest.raises(ConfigError, match=r"two metrics are called '<lambda>'"):
        named_metrics([lambda it: 1.0, lambda it: 2.0], Registry.load())


def test_a_stored_metric_whose_plugin_is_gone_is_missing(evaluated):
    found = measure(named_metrics(["mmd"], Registry.load(), stored=["aaeframe-gone:rows(scale=2.0)"]), evaluated)

    assert found["metrics"]["aaeframe-gone:rows(scale=2.0)"] is None
    assert "no distribution 'aaeframe-gone'" in found["metric_errors"]["aaeframe-gone:rows(scale=2.0)"]
    assert found["metrics"]["mmd"].keys() == {"y", "z"}


@pytest.mark.parametrize(
    ("asked", "error", "message"),
    [
        ("mdm", UnknownComponent, "no active plugin offers a metric named 'mdm'\n  did you mean 'mmd'?"),
        ("mmd(rows=3)", OptionError, "the metric 'mmd' of aaeframe .* has no option 'rows'"),
        ("two-sample(rows=1)", OptionError, "rows=1 does not fit"),
        (3, ConfigError, "3 is no metric: give a name"),
        (Evaluated, ConfigError, "of a class, an instance"),
    ],
)
def test_a_mistake_of_the_user_is_an_error_before_anything_is_measured(run, asked, error, message):
    with pytest.raises(error, match=message):
        run.evaluate(metrics=[asked])


@pytest.mark.slow
def test_the_configuration_stores_them_and_each_evaluation_measures_them(counts, tmp_path, monkeypatch, capsys):
    def cli(*arguments):
        monkeypatch.setattr(sys, "argv", ["aaeframe", *map(str, arguments)])
        with pytest.raises(SystemExit) as raised:
            main()
        return raised.value.code or 0, *capsys.readouterr()

    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(60, 3)).astype("float32"))
    small = ["--network", "mlp(hidden=[8])", "--discriminator", "mlp(hidden=[8])", "--epochs", 1]
    metrics = 'evaluation.metrics=["rows(scale=3.0)", "failing"]'
    code, out, err = cli("train", "--data", tmp_path / "x.npy", *small, "--set", metrics, "--out", tmp_path / "run")

    assert code == 0
    assert "rows(scale=3.0)" in out
    assert "failed" in out
    assert "the metric failing failed, and its number is missing: ZeroDivisionError" in err
    config = aaeframe.load(tmp_path / "run").config
    assert config.evaluation.metrics == ("aaeframe-counts:rows(scale=3.0)", "aaeframe-counts:failing")
    assert config.plugins["aaeframe-counts"] == "1.0"

    code, out, _ = cli("evaluate", tmp_path / "run", "--metric", "spread", "--metric", "rows", "--json")
    found = json.loads(out)
    assert found["metrics"].keys() == {"rows(scale=3.0)", "failing", "spread", "rows"}
    assert (found["metrics"]["rows(scale=3.0)"], found["metrics"]["failing"]) == (18.0, None)
    stored = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert stored["test"]["metric_errors"] == {"failing": "ZeroDivisionError: division by zero"}

    code, _, err = cli("evaluate", tmp_path / "run", "--metric", "spraed")
    assert (code, "did you mean 'spread'?" in err) == (2, True)


def test_an_unknown_metric_is_refused_before_a_training(tmp_path):
    with pytest.raises(UnknownComponent, match="no active plugin offers a metric named 'mdm'"):
        aaeframe.train(np.zeros((30, 2), "float32"), config={"evaluation": {"metrics": ["mdm"]}}, keep=False)


@pytest.mark.parametrize(
    ("value", "found"), [(1, 1.0), (torch.tensor(2.0), 2.0), (np.float32(3), 3.0), ({"a": True}, {"a": 1.0})]
)
def test_what_is_a_number(value, found):
    assert numbers(value) == found


@pytest.mark.parametrize(
    ("metric", "failed", "message"),
    [
        (lambda it: float(it.codes["z"].mean()), None, None),
        (lambda it: [1.0, 2.0], "value", "the metric fails: TypeError: it returns list"),
        (lambda it: next(DRAWN), "same-value", "measured twice, it returns"),
        (lambda it: float(np.random.random()), "value", "it changed what all code shares, .*the random state of numpy"),
        (lambda it: it.model.decoder.weight.data.zero_().sum(), "value", "it changed the model"),
        (lambda it: np.multiply(it.rows.data, 0, out=it.rows.data).sum(), "value", "leave the rows as they are"),
    ],
)
def test_the_checks_find_what_is_wrong(metric, failed, message):
    for name, check in checks_for("metric", lambda: metric):
        if name == failed:
            with pytest.raises(AssertionError, match=message):
                check()
        elif failed is None:
            assert check() is None


def test_a_metric_that_refuses_other_rows_is_not_tested():
    def images(evaluated):
        raise ValueError("only images")

    assert dict(checks_for("metric", lambda: images))["value"]() == "refused: only images"
