"""The Dirichlet conforms, and encoders reach it by a softmax."""

from __future__ import annotations

import pytest
import torch

from aaeframe import supports
from aaeframe.testing import conformance_cases
from aaeframe_dirichlet import dirichlet


@pytest.mark.parametrize("check", conformance_cases("aaeframe-dirichlet", "dirichlet(size=3, concentration=4.0)"))
def test_conformance(check):
    check()


def test_the_lower_the_concentration_the_nearer_the_corners():
    torch.manual_seed(0)
    low, high = (dirichlet(size=3, concentration=it).sample((1000,)).amax(1).mean() for it in (0.05, 20.0))

    assert low > 0.9
    assert high < 0.5


def test_an_encoders_head_is_a_softmax():
    prior = dirichlet(size=4)
    raw = torch.randn(7, 4)

    support = supports.resolve(prior.support, prior.event_shape)

    assert support.head_shape == (4,)
    torch.testing.assert_close(support.transform(raw), raw.softmax(-1))
