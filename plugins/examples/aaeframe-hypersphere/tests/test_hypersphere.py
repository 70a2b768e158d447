"""The hypersphere conforms, and is uniform."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.stats import beta, kstest

from aaeframe import supports
from aaeframe.testing import conformance_cases
from aaeframe_hypersphere.sphere import Hypersphere

CHECKS = conformance_cases("aaeframe-hypersphere", "hypersphere(size=2)", "hypersphere(size=20)")


@pytest.mark.parametrize("check", CHECKS)
def test_conformance(check):
    check()


@pytest.mark.parametrize("size", [2, 3, 10])
def test_the_square_of_each_coordinate_has_the_distribution_of_a_uniform_direction(size):
    torch.manual_seed(0)

    squares = Hypersphere(size=size).sample((5000,)).square()

    p_values = [kstest(column.numpy(), beta(0.5, (size - 1) / 2).cdf).pvalue for column in squares.T]
    assert min(p_values) > 1e-5


@pytest.mark.parametrize(("size", "area"), [(2, 2 * math.pi), (3, 4 * math.pi), (4, 2 * math.pi**2)])
def test_the_density_is_one_over_the_area(size, area):
    prior = Hypersphere(size=size)

    density = prior.log_prob(prior.sample((5,))).exp()

    torch.testing.assert_close(density, torch.full((5,), 1 / area))
    assert prior.log_prob(torch.full((size,), 2.0)) == -math.inf


def test_a_head_is_normalized_and_gets_a_gradient():
    prior = Hypersphere(size=5)
    raw = torch.randn(7, 5, requires_grad=True)

    support = supports.resolve(prior.support, prior.event_shape)
    code = support.transform(raw)
    code.square()[:, 0].sum().backward()

    assert support.head_shape == (5,)
    assert bool(support.relaxation.check(code).all())
    assert bool(raw.grad.isfinite().all())
    assert bool(raw.grad.any())
    assert support.transform(raw.detach().bfloat16()).dtype == torch.float32
