"""The baselines of the likelihood table learn the digits, and are judged as our runs are."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from aaeframe.data import Split, from_arrays, load
from aaeframe.errors import DataError, DeviceError, OptionError, TrainingDiverged
from aaeframe.evaluation import likelihood
from aaeframe.evaluation.likelihood import CHUNK, VALIDATION_ROWS
from aaeframe.reproduce.rivals import FITS, GeneratorSettings, generate, gmmn, measure
from aaeframe.reproduce.rivals.settings import train
from aaeframe.seeds import stream
from aaeframe_kernels import parzen_log_likelihood

SMALL = {
    "gan": GeneratorSettings(epochs=15, batch_size=50, hidden=(64, 64), noise=10, learning_rate=1e-3, dropout=0.3),
    "gmmn": GeneratorSettings(epochs=20, batch_size=200, hidden=(64, 64), noise=10, learning_rate=1e-3, dropout=0.1),
}
DIGITS = load("digits")
KINDS = pytest.mark.parametrize("kind", sorted(FITS))


def brief(kind, **changes):
    return replace(SMALL[kind], **{"epochs": 1, **changes})


def uniform(count):
    return torch.rand(count, 3, generator=torch.Generator().manual_seed(count))


@pytest.mark.slow
@KINDS
def test_training_makes_unseen_digits_far_more_likely(kind):
    begun = measure(kind, DIGITS, brief(kind, epochs=0), samples=2000)["likelihood"]
    trained = measure(kind, DIGITS, SMALL[kind], samples=2000)["likelihood"]
    assert trained["warning"] is None
    assert trained["log_likelihood"] > begun["log_likelihood"] + 15


@KINDS
def test_the_same_seed_gives_the_same_samples_and_another_seed_others(kind):
    first, again = (generate(kind, DIGITS, brief(kind)).rows(0, 20) for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first, generate(kind, DIGITS, brief(kind, seed=1)).rows(0, 20))


@KINDS
def test_samples_are_rows_of_the_data_in_the_unit_interval_the_same_whenever_asked_for(kind):
    samples = generate(kind, DIGITS, brief(kind), samples=CHUNK + 5)
    assert samples.count == CHUNK + 5
    last, first = samples.rows(CHUNK, CHUNK + 5), samples.rows(0, 5)
    assert first.shape == last.shape == (5, 1, 8, 8)
    assert first.dtype == torch.float32
    assert 0 <= first.min() < first.max() <= 1
    assert not torch.equal(first, last)
    assert torch.equal(samples.rows(0, CHUNK)[:5], first)
    assert torch.equal(samples.rows(CHUNK, CHUNK + 5), last)


@KINDS
def test_the_callers_random_state_is_left_alone(kind):
    ours, numpys = torch.get_rng_state(), np.random.get_state()[1]
    measure(kind, DIGITS, brief(kind), samples=10)
    assert torch.equal(torch.get_rng_state(), ours)
    assert np.array_equal(np.random.get_state()[1], numpys)


@KINDS
def test_what_the_caller_has_drawn_changes_no_sample(kind):
    with stream(1, "caller"):
        first = generate(kind, DIGITS, brief(kind)).rows(0, 5)
    assert torch.equal(first, generate(kind, DIGITS, brief(kind)).rows(0, 5))


def test_the_report_is_json_and_tells_how_the_estimate_was_made():
    settings, told = brief("gan"), []
    report = measure("gan", DIGITS, settings, samples=100, progress=lambda *now: told.append(now))
    found = report["likelihood"]
    assert json.loads(json.dumps(report)) == report
    assert report["kind"] == "gan"
    assert report["dataset"] == "digits"
    assert report["settings"]["hidden"] == [64, 64]
    assert GeneratorSettings(**{**report["settings"], "hidden": (64, 64)}) == settings
    assert (found["rows"], found["samples"]) == (len(DIGITS.test), 100)
    assert told[:2] == [("generator and discriminator", 0, 1), ("generator and discriminator", 1, 1)]
    assert told[-1] == ("test", 100, 100)


def test_rows_are_judged_as_numbers_in_the_unit_interval():
    found = measure("gan", DIGITS, brief("gan"), samples=100)["likelihood"]
    samples = generate("gan", DIGITS, brief("gan")).rows(0, 100)
    test = torch.from_numpy(DIGITS.test.array()) / 16
    expected = parzen_log_likelihood(test, samples, found["bandwidth"], precision="float64").mean()
    assert found["log_likelihood"] == pytest.approx(expected.item(), abs=1e-3)


def test_the_first_validation_rows_choose_the_bandwidth(monkeypatch):
    """Rows after those, far from any sample, would want a wide one; test rows have no say either."""
    white = np.full((2000, 1, 8, 8), 16, np.uint8)
    many = np.concatenate([np.resize(DIGITS.validation.array(), (VALIDATION_ROWS, 1, 8, 8)), white])
    seen = []
    estimate = likelihood.estimate
    monkeypatch.setattr(
        "aaeframe.reproduce.rivals.estimate", lambda *a, **k: seen.append(k["validation"]) or estimate(*a, **k)
    )
    odd = measure("gan", replace(DIGITS, validation=Split(many), test=Split(white)), brief("gan"), samples=100)
    plain = measure("gan", replace(DIGITS, validation=Split(many[:VALIDATION_ROWS])), brief("gan"), samples=100)
    assert len(seen[0]) == VALIDATION_ROWS
    assert odd["likelihood"]["bandwidth"] == plain["likelihood"]["bandwidth"]


@KINDS
def test_data_outside_the_unit_interval_is_refused(kind):
    table = from_arrays(np.linspace(-3, 3, 60, dtype=np.float32).reshape(20, 3), name="table")
    with pytest.raises(DataError, match=r"'table'.*within \[0, 1\]"):
        measure(kind, table, brief(kind))


def test_rows_that_are_all_one_have_no_distribution_to_learn():
    alike = from_arrays(np.full((40, 5, 5), 200, np.uint8))
    with pytest.raises(DataError, match="one code for all rows"):
        generate("gmmn", alike, brief("gmmn"))


def test_an_unknown_kind_is_refused_with_those_there_are():
    with pytest.raises(OptionError, match=r"'vae'.*gan, gmmn"):
        measure("vae", DIGITS)


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": -1},
        {"batch_size": 1},
        {"hidden": ()},
        {"hidden": (8, 0)},
        {"noise": 0},
        {"learning_rate": float("nan")},
        {"dropout": 1.0},
    ],
    ids=str,
)
def test_settings_out_of_range_are_refused_by_name(wrong):
    with pytest.raises(OptionError, match=f"wants {next(iter(wrong))},"):
        replace(SMALL["gan"], **wrong)


def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(DeviceError, match="cuda:99"):
        generate("gan", DIGITS, brief("gan", device="cuda:99"))


def test_a_training_that_diverges_is_told_and_stopped():
    calls = []

    def step(x):
        calls.append(x)
        return torch.tensor(float("nan"))

    with pytest.raises(TrainingDiverged, match=r"autoencoder.*epoch 1 of 5"):
        train(step, DIGITS.train, brief("gan", epochs=5), "autoencoder", lambda *now: None)
    assert len(calls) == len(DIGITS.train) // 50


def test_the_discrepancy_is_the_root_of_the_biased_estimate():
    a, b = uniform(7).double(), uniform(5).double()

    def mean_kernel(x, y):
        return sum(float(np.exp(-((p - q) ** 2).sum() / (2 * s**2))) for s in (0.5, 2.0) for p in x for q in y) / (
            len(x) * len(y)
        )

    x, y = a.numpy(), b.numpy()
    expected = (mean_kernel(x, x) + mean_kernel(y, y) - 2 * mean_kernel(x, y)) ** 0.5
    assert gmmn.mmd(a, b, (0.5, 2.0)).item() == pytest.approx(expected, rel=1e-9)


def test_the_discrepancy_of_equal_rows_is_nothing_and_has_a_finite_slope():
    a = uniform(7).requires_grad_()
    found = gmmn.mmd(a, a.detach().clone(), (0.5, 2.0))
    found.backward()
    assert found.item() < 2e-3
    assert a.grad.isfinite().all()
