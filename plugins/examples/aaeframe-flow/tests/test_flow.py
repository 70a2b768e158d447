"""The flow conforms, and learns a density that no Gaussian has."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import MultivariateNormal

from aaeframe.testing import conformance_cases
from aaeframe_flow.flow import Flow


@pytest.mark.parametrize("check", conformance_cases("aaeframe-flow", "flow(size=1, transforms=1)"))
def test_conformance(check):
    check()


def moons(count, generator):
    """Two half circles (count, 2)."""
    angle, upper = torch.pi * torch.rand(count, generator=generator), torch.rand(count, generator=generator) < 0.5
    x = torch.where(upper, angle.cos(), 1 - angle.cos())
    y = torch.where(upper, angle.sin(), 0.5 - angle.sin())
    return torch.stack([x, y], dim=1) + 0.1 * torch.randn(count, 2, generator=generator)


def test_it_learns_what_a_gaussian_cannot():
    generator = torch.Generator().manual_seed(0)
    train, test = moons(2000, generator), moons(2000, generator)
    torch.manual_seed(0)
    flow = Flow(hidden=[32])
    optimizer = torch.optim.Adam(flow.parameters(), lr=5e-3)
    for _ in range(150):
        optimizer.zero_grad()
        flow.loss(train[torch.randint(2000, (500,))]).backward()
        optimizer.step()

    gaussian = MultivariateNormal(train.mean(0), train.T.cov()).log_prob(test).mean()
    assert -flow.loss(test) > gaussian + 0.5
