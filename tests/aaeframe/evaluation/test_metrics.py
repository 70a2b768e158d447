"""Metrics by name and from Python: their numbers, and that a failing one harms nothing."""

from __future__ import annotations

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
from aaeframe.evaluation.metrics import numbers
from aaeframe.testing import checks_for

SOURCE = """
from aaeframe import Component, hookimpl

@hookimpl
def aaeframe_metrics():
    names = ("rows", "spread", "failing", "broken", "texts", "infinite", "spoiling", "leaving")
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
    "leaving": "the metric 'leaving' of aaeframe-counts 1.0 fails: SystemExit: 3",
}


@pytest.fixture
def counts(install):
    source = SOURCE.replace("aaeframe_counts.nowhere", "aaeframe_counts.nowhere")
    install(
        "aaeframe-counts",
        {"aaeframe_counts.__init__": source, "aaeframe_counts.nowhere": "1 / 0"},
        {"c": "aaeframe_counts"},
    )


@pytest.fixture(scope="module")
def trained():
    """A run in memory on 60 labeled rows with a labeled prior."""
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


@pytest.fixture
def run(trained):
    """The run with the plugins that are installed now."""
    import dataclasses

    return dataclasses.replace(trained, registry=Registry.load())


def plain(run, **given):
    return run.evaluate(warn=lambda sentence: None, **given)


def test_without_metrics_the_report_has_no_word_of_them_and_with_them_all_else_stays(run, counts):
    before = plain(run)
    after = plain(run, metrics=["mmd", "clusters"])

    assert "metrics" not in before
    metrics = after.pop("metrics")
    assert after == before
    assert list(metrics) == ["mmd", "clusters"]


def test_ours_are_the_measures_of_the_report(run):
    report = plain(
        run, metrics=["mmd", "sliced-wasserstein(projections=50)", "two-sample", "class-agreement", "clusters"]
    )
    metrics = report["metrics"]

    assert metrics["clusters"].items() <= {k: float(v) for k, v in report["clustering"].items() if k != "names"}.items()
    assert metrics["class-agreement"] == {"z": report["blocks"]["z"]["classes"]["agreement"]}
    assert metrics["mmd"].keys() == metrics["two-sample"].keys() == {"y", "z"}
    distance = report["blocks"]["z"]["sliced_wasserstein"]  # of 50 sets of prior samples where the metric has one
    assert metrics["sliced-wasserstein(projections=50)"]["z"] == pytest.approx(distance, rel=0.5)


def test_a_metric_is_given_rows_codes_labels_and_prior_samples(run):
    seen = []

    def look(evaluated: Evaluated) -> float:
        seen.append(evaluated)
        return mmd(evaluated.codes["z"], evaluated.prior_samples["z"])

    report = plain(run, metrics=[look], split="validation")

    (it,) = seen
    assert it.split == "validation"
    np.testing.assert_array_equal(it.rows.array(), run.dataset().validation.array())
    assert it.labels.tolist() == run.dataset().validation.labels.tolist()
    assert {name: z.shape for name, z in it.codes.items()} == {name: z.shape for name, z in it.prior_samples.items()}
    assert report["metrics"] == {"look": mmd(it.codes["z"], it.prior_samples["z"])}


def test_options_and_prints_and_the_random_state(run, counts, capsys):
    run = type(run)(**{**vars(run), "registry": Registry.load()})
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first = plain(run, metrics=["rows(scale=2.0)", "rows", "aaeframe-counts:spread"])
    second = plain(run, metrics=["spread"])

    assert first["metrics"]["rows(scale=2.0)"] == 40.0
    assert first["metrics"]["rows"] == 20.0
    assert first["metrics"]["spread"] == second["metrics"]["spread"]
    assert torch.equal(torch.get_rng_state(), state)
    assert capsys.readouterr().out == ""


def test_a_failing_metric_is_a_warning_and_a_missing_number(run, counts):
    run = type(run)(**{**vars(run), "registry": Registry.load()})
    weights = {name: value.clone() for name, value in run.model.state_dict().items()}
    warned = []

    report = run.evaluate(metrics=[*FAILING, "rows"], warn=warned.append)

    assert report["metrics"] == {**dict.fromkeys(FAILING), "rows": 20.0}
    assert report["metric_errors"].keys() == FAILING.keys()
    for name, message in FAILING.items():
        assert report["metric_errors"][name].startswith(message), name
        assert any(f"the metric {name} failed, and its number is missing: {message}" in it for it in warned)
    assert all(torch.equal(value, weights[name]) for name, value in run.model.state_dict().items())
    assert not run.model.training
    rest = {key: value for key, value in report.items() if not key.startswith("metric")}
    assert rest == plain(run)


@pytest.mark.parametrize(
    ("asked", "error", "message"),
    [
        ("mdm", UnknownComponent, "no active plugin offers a metric named 'mdm'\n  did you mean 'mmd'?"),
        ("mmd(rows=3)", OptionError, "the metric 'mmd' of aaeframe .* has no option 'rows'"),
        ("two-sample(folds=1)", OptionError, "folds=1 does not fit"),
        (3, ConfigError, "3 is no metric: give a name"),
        (Evaluated, ConfigError, "of a class, an instance"),
    ],
)
def test_a_mistake_of_the_user_is_an_error_before_anything_is_measured(run, asked, error, message):
    with pytest.raises(error, match=message):
        plain(run, metrics=[asked])


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
    monkeypatch.setenv("AAEFRAME_NO_PLUGINS", "aaeframe-counts")
    code, out, err = cli("evaluate", tmp_path / "run", "--json")
    assert code == 0
    assert json.loads(out)["metrics"] == dict.fromkeys(config.evaluation.metrics)


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
        (lambda it: float(np.random.random()), "same-value", "measured twice, it returns"),
        (lambda it: it.model.decoder.weight.data.zero_().sum(), "value", "it changed the model"),
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
