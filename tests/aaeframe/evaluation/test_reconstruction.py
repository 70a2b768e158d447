from __future__ import annotations

import pytest
import torch

from aaeframe.errors import DataError
from aaeframe.evaluation import mean_image_error, reconstruction, reconstruction_error, reconstruction_report


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


X = torch.rand(50, 1, 4, 4, generator=generator())


def test_the_error_is_half_the_squared_distance_of_a_row():
    x = torch.zeros(2, 3)
    x_hat = torch.tensor([[1.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
    assert reconstruction_error(x_hat, x).item() == 0.5 * (1 + 3) / 2


def test_the_mean_image_is_the_same_answer_for_every_row():
    mean = X.mean(0)
    expected = 0.5 * X.var(0, unbiased=False).sum()
    assert mean_image_error(mean, X).item() == pytest.approx(expected.item(), rel=1e-5)


def test_a_faithful_reconstruction_is_worse_when_shuffled():
    report = reconstruction_report(X, X + 0.01, X.mean(0), generator=generator())
    assert report.error == pytest.approx(0.5 * 16 * 1e-4, rel=1e-3)
    assert report.ratio == report.error / report.mean_image_error
    assert report.shuffled_error == pytest.approx(2 * report.mean_image_error, rel=0.2)


def test_rows_are_compared_some_at_a_time_to_the_same_numbers(monkeypatch):
    whole = reconstruction_report(X, X.roll(3, 0), X.mean(0), generator=generator())
    monkeypatch.setattr(reconstruction, "CHUNK", 7)
    parts = reconstruction_report(X, X.roll(3, 0), X.mean(0), generator=generator())
    assert parts.as_dict() == pytest.approx(whole.as_dict())


def test_each_row_needs_its_reconstruction():
    with pytest.raises(DataError, match="each row needs a reconstruction, found 49 for 50 rows"):
        reconstruction_report(X, X[:49], X.mean(0), generator=generator())


def test_a_decoder_that_ignores_its_code_is_as_good_when_shuffled():
    blind = X.mean(0).expand_as(X)
    report = reconstruction_report(X, blind, X.mean(0), generator=generator())
    assert report.shuffled_error == pytest.approx(report.error)
    assert report.ratio == pytest.approx(1)


@pytest.mark.parametrize("seed", range(20))
def test_no_row_gets_its_own_reconstruction_back(seed):
    x = torch.eye(4) * 100
    report = reconstruction_report(x, x, torch.zeros(4), generator=generator(seed))
    assert report.shuffled_error == 0.5 * 2 * 100**2


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(DataError, match=r"found shapes \(50, 16\) for \(50, 1, 4, 4\)"):
        reconstruction_error(X.flatten(1), X)
    with pytest.raises(DataError, match=r"each row needs a reconstruction, found shapes \(0, 1, 4, 4\)"):
        reconstruction_report(X[:0], X[:0], X.mean(0), generator=generator())


def test_a_single_row_has_no_other_to_be_shuffled_with():
    report = reconstruction_report(X[:1], X[:1], X.mean(0), generator=generator())
    assert report.ratio == 0
    assert report.shuffled_error is None


def test_constant_data_leave_nothing_to_reconstruct():
    x = torch.ones(3, 2)
    report = reconstruction_report(x, x + 1, torch.ones(2), generator=generator())
    assert (report.error, report.mean_image_error, report.ratio, report.shuffled_error) == (1, 0, None, 1)
