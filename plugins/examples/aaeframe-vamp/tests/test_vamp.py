"""VampPrior conforms, and is the mixture that the paper defines."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import Independent, Normal, constraints

from aaeframe.protocols import DataSpec
from aaeframe.testing import conformance_cases
from aaeframe_vamp.vamp import Vamp

SHAPE = torch.Size([3])
DATA = DataSpec(SHAPE, constraints.real, torch.zeros(SHAPE), torch.ones(SHAPE))


@pytest.mark.parametrize("check", conformance_cases("aaeframe-vamp", "vamp(size=5, inputs=7)"))
def test_conformance(check):
    check()


def posterior(x):
    return Independent(Normal(x[:, :2], 0.5), 1)


def test_the_density_is_the_mean_of_posteriors_at_the_pseudo_inputs():
    rows = torch.arange(30.0).reshape(10, 3)
    prior = Vamp(inputs=4)
    prior.bind(posterior, DATA, rows)

    z = torch.randn(6, 2)
    each = torch.stack([posterior(u[None]).log_prob(z) for u in prior.inputs])

    torch.testing.assert_close(prior.log_prob(z), each.logsumexp(0) - torch.tensor(4.0).log())
    assert all(any(torch.equal(u, row) for row in rows) for u in prior.inputs)


def test_the_pseudo_inputs_move_to_the_codes():
    prior = Vamp(inputs=4)
    prior.bind(posterior, DATA, torch.zeros(10, 3))
    codes = torch.cat([torch.full((50, 2), 2.0), torch.full((50, 2), -2.0)])
    optimizer = torch.optim.Adam(prior.parameters(), lr=0.1)
    torch.manual_seed(0)
    prior.inputs.data += 0.1 * torch.randn_like(prior.inputs)

    before = prior.loss(codes).item()
    for _ in range(100):
        optimizer.zero_grad()
        prior.loss(codes).backward()
        optimizer.step()

    assert prior.loss(codes).item() < before - 2
