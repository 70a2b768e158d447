"""The discriminator conforms, and sees what is fine."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import constraints
from torch.nn.functional import binary_cross_entropy_with_logits

from aaeframe.protocols import BlockSpec
from aaeframe.testing import conformance_cases
from aaeframe_fourier.discriminator import Fourier


@pytest.mark.parametrize("check", conformance_cases("aaeframe-fourier", "fourier(waves=3, scale=0.5, hidden=[8])"))
def test_conformance(check):
    check()


def loss_after_training(scale):
    """The loss on stripes a tenth as wide as the line, of 200 steps."""
    torch.manual_seed(0)
    line = BlockSpec(torch.Size([1]), constraints.independent(constraints.real, 1))
    discriminator = Fourier(line, None, waves=16, scale=scale, hidden=(64,))
    optimizer = torch.optim.Adam(discriminator.parameters(), lr=1e-2)
    z = torch.linspace(-1, 1, 500).unsqueeze(1)
    striped = ((z * 5).floor() % 2).squeeze(1)
    for _ in range(200):
        loss = binary_cross_entropy_with_logits(discriminator(z), striped)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss.item()


def test_shorter_waves_tell_finer_stripes_apart():
    assert loss_after_training(scale=10.0) < 0.5 * loss_after_training(scale=0.1)
