from __future__ import annotations

import json
import math
import warnings
from importlib import import_module

import pytest
import torch
from sklearn.pipeline import Pipeline

from aaeframe.errors import DataError
from aaeframe.evaluation import leakage


def codes_of(labels, *, shift, seed, size=3):
    """Normal codes whose first number moves by `shift` from class to class."""
    z = torch.randn(len(labels), size, generator=torch.Generator().manual_seed(seed))
    z[:, 0] += shift * labels
    return z


LABELS = torch.arange(600) % 3


def test_codes_that_know_the_class_leak_all_of_it():
    found = leakage(
        *(codes_of(LABELS, shift=20, seed=1), LABELS),
        *(codes_of(LABELS, shift=20, seed=2), LABELS),
        num_classes=3,
    )
    assert found.as_dict() == {
        "accuracy": 1,
        "standard_error": 0,
        "chance": pytest.approx(1 / 3),
        "converged": True,
        "fit_rows": 600,
        "rows": 600,
    }


def test_codes_free_of_labels_are_at_chance():
    found = leakage(
        *(codes_of(LABELS, shift=0, seed=1), LABELS),
        *(codes_of(LABELS, shift=0, seed=2), LABELS),
        num_classes=3,
    )
    assert abs(found.accuracy - found.chance) < 3 * found.standard_error
    assert found.standard_error == pytest.approx(math.sqrt(found.accuracy * (1 - found.accuracy) / 600))


def test_chance_is_the_share_of_the_most_frequent_held_out_class():
    held_out = torch.tensor([2, 2, 2, 0, 1])
    found = leakage(codes_of(LABELS, shift=0, seed=1), LABELS, torch.zeros(5, 3), held_out, num_classes=3)
    assert found.chance == 0.6


def test_constant_codes_are_answered_by_the_most_frequent_class_of_the_fit_rows():
    fit_labels = torch.tensor([1, 1, 1, 0, 2])
    held_out = torch.tensor([1, 1, 0, 2])
    found = leakage(torch.ones(5, 2), fit_labels, torch.ones(4, 2), held_out, num_classes=3)
    assert (found.accuracy, found.chance, found.converged) == (0.5, 0.5, True)


def test_two_classes_overlap_as_far_as_two_normals_do():
    labels = torch.arange(4000) % 2
    found = leakage(
        *(codes_of(labels, shift=2, seed=1), labels), *(codes_of(labels, shift=2, seed=2), labels), num_classes=2
    )
    assert found.accuracy == pytest.approx(0.8413, abs=3 * found.standard_error)  # the normal cdf at 1


def test_the_units_of_codes_do_not_matter():
    fit, held_out = codes_of(LABELS, shift=1, seed=1).double(), codes_of(LABELS, shift=1, seed=2).double()
    scale, offset = torch.tensor([1e-3, 1.0, 1e4]).double(), torch.tensor([5.0, -100.0, 0.0]).double()
    first = leakage(fit, LABELS, held_out, LABELS, num_classes=3)
    assert leakage(scale * fit + offset, LABELS, scale * held_out + offset, LABELS, num_classes=3) == first
    assert 0.5 < first.accuracy < 0.9


def test_a_large_set_is_cut_to_rows_from_all_of_it():
    labels = torch.arange(3).repeat_interleave(3_000)
    z = codes_of(labels, shift=20, seed=1)
    found = leakage(z, labels, z, labels, num_classes=3)
    assert (found.fit_rows, found.rows) == (5_000, 9_000)
    assert found.accuracy == 1, "sorted rows cut at an end would miss a class"


def test_codes_of_any_shape_are_flattened():
    z = codes_of(LABELS, shift=1, seed=1, size=4)
    held_out = codes_of(LABELS, shift=1, seed=2, size=4)
    flat = leakage(z, LABELS, held_out, LABELS, num_classes=3)
    assert leakage(z.view(-1, 2, 2), LABELS, held_out.view(-1, 2, 2), LABELS, num_classes=3) == flat


def test_nothing_is_random():
    z = codes_of(LABELS, shift=1, seed=1)
    before = torch.get_rng_state()
    first = leakage(z, LABELS, z, LABELS, num_classes=3)
    with torch.inference_mode():
        assert leakage(z.clone(), LABELS, z.clone().requires_grad_(), LABELS, num_classes=3) == first
    assert torch.equal(torch.get_rng_state(), before)


def test_a_probe_stopped_too_early_says_so_and_warns_nobody(monkeypatch):
    # The package offers the function under the name of its module.
    monkeypatch.setattr(import_module("aaeframe.evaluation.leakage"), "MAX_ITERATIONS", 1)
    z = codes_of(LABELS, shift=1, seed=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = leakage(z, LABELS, z, LABELS, num_classes=3)
    assert not found.converged
    assert json.loads(json.dumps(found.as_dict()))["converged"] is False


def test_other_warnings_of_the_probe_are_passed_on(monkeypatch):
    fit = Pipeline.fit

    def noisy_fit(self, x, y):
        warnings.warn("the moon is full", UserWarning, stacklevel=2)
        return fit(self, x, y)

    monkeypatch.setattr(Pipeline, "fit", noisy_fit)
    z = codes_of(LABELS, shift=1, seed=1)
    with pytest.warns(UserWarning, match="the moon is full"):
        found = leakage(z, LABELS, z, LABELS, num_classes=3)
    assert found.converged


Z = torch.randn(6, 2, generator=torch.Generator().manual_seed(0))
FEW = torch.arange(6) % 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((Z, FEW[:5], Z, FEW), r"one label for each of 6 rows is needed, found labels of shape \(5,\)"),
        ((Z, FEW, Z, FEW[:5]), r"one label for each of 6 rows is needed, found labels of shape \(5,\)"),
        ((Z, FEW + 1, Z, FEW), "the classes are 0 to 2, found labels from 1 to 3"),
        ((Z, FEW, Z, FEW - 1), "the classes are 0 to 2, found labels from -1 to 1"),
        ((Z, FEW, Z[:, :1], FEW), "the fit codes have 2 numbers a row, the codes 1"),
        ((Z, FEW, Z / 0, FEW), "codes: 6 of 6 rows hold numbers that are not finite"),
        ((Z, FEW * 0 + 2, Z, FEW), "two classes or more, all 6 are of class 2"),
    ],
    ids=["few fit labels", "few labels", "beyond", "unlabeled", "size", "infinite", "one class"],
)
def test_what_cannot_be_probed_is_refused(arguments, message):
    with pytest.raises(DataError, match=message):
        leakage(*arguments, num_classes=3)
