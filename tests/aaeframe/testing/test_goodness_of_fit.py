"""The tests behind the checks: right densities pass, wrong ones do not, in any dimension."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.stats import kstest
from torch.distributions import (
    Categorical,
    Cauchy,
    Dirichlet,
    Exponential,
    Independent,
    Laplace,
    MixtureSameFamily,
    MultivariateNormal,
    Normal,
    OneHotCategorical,
    StudentT,
    Uniform,
)

from aaeframe.testing import goodness_of_fit
from aaeframe.testing.case import FALSE_ALARM, seeded
from aaeframe.testing.goodness_of_fit import (
    bridge_p_value,
    frequencies_p_value,
    lines_p_value,
    two_sample_p_value,
)


@pytest.fixture(autouse=True)
def fewer_centers(monkeypatch):
    """Fewer kernels take less time and still have power enough."""
    monkeypatch.setattr(goodness_of_fit, "CENTERS", 300)


def product(kind, size, *parameters):
    """Independent coordinates with the same parameters."""
    return Independent(kind(*(torch.full((size,), float(it)) for it in parameters)), 1)


def two_modes(weight):
    modes = Independent(Normal(torch.tensor([[-10.0, 0.0], [10.0, 0.0]]), 0.1), 1)
    return MixtureSameFamily(Categorical(torch.tensor([1 - weight, weight])), modes)


def correlated(scale):
    return MultivariateNormal(torch.zeros(2), scale**2 * torch.tensor([[1.0, 0.99], [0.99, 1.0]]))


def log_density(distribution):
    def evaluate(points):
        inside = distribution.support.check(points)
        result = torch.full((len(points),), -math.inf, dtype=torch.double)
        result[inside] = distribution.log_prob(points[inside]).double()
        return result

    return evaluate


def p_values(right, stated, lines=2000, bridge=10_000):
    """Both p-values that samples of `right` follow the density of `stated`."""
    others, density = right.sample((4000,)), log_density(stated)
    both = (
        lines_p_value(right.sample((lines,)), others, density),
        bridge_p_value(right.sample((bridge,)), others, density),
    )
    return tuple(it for it in both if it is not None)


PAIRS = {
    "1-d": (product(Normal, 1, 0, 1), product(Normal, 1, 0, 1.2)),
    "3-d": (product(Normal, 3, 0, 1), product(Normal, 3, 0, 0.85)),
    "10-d": (product(Normal, 10, 0, 1), product(Normal, 10, 0, 1.2)),
    "shifted": (product(Normal, 3, 0, 1), product(Normal, 3, 0.2, 1)),
    "shape": (product(Laplace, 3, 0, 1), product(Normal, 3, 0, 2**0.5)),
    "correlated": (correlated(1.0), correlated(1.2)),
    "bounded": (product(Uniform, 2, 0, 1), product(Uniform, 2, -0.1, 1.1)),
    "half-bounded": (product(Exponential, 2, 1), product(Exponential, 2, 1.2)),
    "heavy tails": (product(StudentT, 5, 3), product(StudentT, 5, 3, 0, 1.2)),
    "heaviest tails": (product(Cauchy, 2, 0, 1), product(Cauchy, 2, 0, 1.2)),
    "weights of far modes": (two_modes(0.5), two_modes(0.6)),
    "flat": (Dirichlet(torch.tensor([2.0, 3.0, 4.0])), Dirichlet(torch.tensor([2.8, 4.2, 5.6]))),
}


@pytest.mark.parametrize(("right", "wrong"), PAIRS.values(), ids=PAIRS)
@seeded
def test_the_right_density_passes_and_a_wrong_one_does_not(right, wrong):
    assert min(p_values(right, right)) > 1e-3
    assert min(p_values(right, wrong)) < FALSE_ALARM


@seeded
def test_a_density_that_does_not_integrate_to_one_is_caught_by_the_bridge_alone():
    right = product(Normal, 3, 0, 1)

    def heavier(points):
        return log_density(right)(points) + 0.1

    others = right.sample((4000,))
    assert lines_p_value(right.sample((2000,)), others, heavier) > 1e-3
    assert bridge_p_value(right.sample((10_000,)), others, heavier) < FALSE_ALARM


@seeded
def test_a_ridge_that_the_samples_lack_and_grids_can_miss_is_caught():
    """A fiftieth of the density is narrower than the steps of the first two grids; the bridge finds it."""
    right = product(Normal, 1, 0, 1)
    ridge = product(Normal, 1, 0.37, 5e-4)

    def ridged(points):
        return torch.logaddexp(right.log_prob(points) + math.log(0.98), ridge.log_prob(points) + math.log(0.02))

    others = right.sample((4000,))
    p_values = (
        lines_p_value(right.sample((2000,)), others, ridged),
        bridge_p_value(right.sample((10_000,)), others, ridged),
    )
    assert min(it for it in p_values if it is not None) < FALSE_ALARM


@pytest.mark.slow
@seeded
def test_p_values_of_right_densities_are_uniform():
    right = MixtureSameFamily(Categorical(torch.ones(3)), Independent(Normal(torch.eye(3), 0.3), 1))
    pairs = [p_values(right, right, lines=200, bridge=1000) for _ in range(20)]

    for values in zip(*pairs, strict=True):
        assert kstest(values, "uniform").pvalue > 1e-3


@seeded
def test_a_density_too_fine_for_the_grid_is_left_to_the_bridge():
    teeth = 20_000

    def comb(count):
        return (torch.randint(teeth, (count, 1)) + torch.rand(count, 1, dtype=torch.double) / 2) / teeth

    def log_density(points):
        x = points[:, 0]
        return torch.where((x >= 0) & (x < 1) & ((x * teeth).frac() < 0.5), math.log(2), -math.inf)

    assert lines_p_value(comb(500), comb(1000), log_density) is None


@seeded
def test_the_factor_of_a_density_in_a_flat_is_left_out():
    flat = Dirichlet(torch.tensor([2.0, 3.0, 4.0]))

    assert bridge_p_value(flat.sample((500,)), flat.sample((1000,)), log_density(flat)) is None


@seeded
def test_samples_that_repeat_have_no_density():
    repeated = torch.zeros(300, 2)

    assert lines_p_value(repeated[:100], repeated, log_density(product(Normal, 2, 0, 1))) == 0.0


@seeded
def test_frequencies():
    right = OneHotCategorical(torch.tensor([0.2, 0.3, 0.5]))
    samples = right.sample((20_000,))

    def stating(*probabilities):
        return OneHotCategorical(torch.tensor(probabilities), validate_args=False).log_prob

    assert frequencies_p_value(samples, right.log_prob) > 1e-3
    assert frequencies_p_value(samples, stating(0.22, 0.28, 0.5)) < FALSE_ALARM
    assert frequencies_p_value(samples, stating(0.0, 0.5, 0.5)) < FALSE_ALARM
    assert frequencies_p_value(samples, lambda it: right.log_prob(it) + 0.1) == 0.0
    assert frequencies_p_value(samples[samples[:, 0] == 0], right.log_prob) < FALSE_ALARM


@seeded
def test_a_value_too_frequent_for_a_rare_one_is_caught():
    right, wrong = (OneHotCategorical(torch.tensor([rare, 0.5, 0.5])) for rare in (1e-3, 5e-5))
    samples = right.sample((20_000,))

    assert frequencies_p_value(samples, right.log_prob) > 1e-3
    assert frequencies_p_value(samples, wrong.log_prob) < FALSE_ALARM
    assert frequencies_p_value(wrong.sample((20_000,)), wrong.log_prob) > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("size", [1, 2, 30])
@seeded
def test_two_samples(size):
    first, second = (torch.randn(20_000, size) for _ in range(2))

    assert two_sample_p_value(first, second) > 1e-3
    assert two_sample_p_value(first, 1.2 * second) < FALSE_ALARM


@seeded
def test_two_samples_that_differ_in_their_correlation_only():
    first = torch.randn(20_000, 2)
    second = torch.randn(20_000, 1) * torch.tensor([1.0, 1.0])

    assert two_sample_p_value(first, second) < FALSE_ALARM
