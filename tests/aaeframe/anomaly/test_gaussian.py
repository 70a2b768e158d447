"""The Gaussian: scikit-learn's numbers of the same rows, odd rows left out, covariances of lower rank."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.covariance import EmpiricalCovariance, LedoitWolf

from aaeframe.anomaly.gaussian import FLAT, _fit, fit_gaussian
from aaeframe.errors import DataError

RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(200, 4)) @ RNG.normal(size=(4, 4)) + [0, 10, -300, 1e4]


def trimmed(estimator, x):
    """Distances by an estimator of scikit-learn, fitted again three times to the 90 % of least distance."""
    found = estimator().fit(x)
    for _ in range(3):
        distances = found.mahalanobis(x)
        found = estimator().fit(x[distances <= np.quantile(distances, 0.9)])
    return found.mahalanobis(x)


def test_distances_are_those_of_scikit_learn():
    np.testing.assert_allclose(fit_gaussian(ROWS).distances(ROWS), trimmed(EmpiricalCovariance, ROWS), rtol=1e-6)


@pytest.mark.parametrize("count", [25, 200])
def test_a_covariance_that_is_not_of_full_rank_is_shrunk_as_by_scikit_learn(count):
    x = RNG.normal(size=(count, 12)) @ RNG.normal(size=(12, 40))

    u = (x - x.mean(0)) / x.std(0)
    expected = LedoitWolf().fit(u).mahalanobis(u)

    np.testing.assert_allclose(_fit(x).distances(x), expected, rtol=1e-6)


def test_odd_rows_do_not_widen_the_gaussian():
    odd = np.full((12, 4), 1.0) * [9, -9, 9, -9] + RNG.normal(size=(12, 4))
    x = np.concatenate([RNG.normal(size=(150, 4)), odd])

    inside = EmpiricalCovariance().fit(x).mahalanobis(odd)

    assert fit_gaussian(x).distances(odd).min() > 5 * inside.max()


def test_a_rounding_error_of_a_constant_feature_is_not_odd_but_another_value_is():
    x = RNG.normal(size=(100, 3))
    x[:, 2] = 5 + 1e-7 * RNG.normal(size=100)
    found = fit_gaussian(x)

    usual, rounded, other = found.distances(np.array([[0, 0, 5], [0, 0, 5 + 1e-5], [0, 0, 5 + 100 * FLAT]]))

    assert rounded < usual + 1
    assert other > 1000
    assert fit_gaussian(x[:, 2:]).distances(np.array([[5.1]])) > 50  # where no other feature is left


def test_one_row_is_too_few():
    with pytest.raises(DataError, match="needs two rows or more, found 1"):
        fit_gaussian(ROWS[:1])
