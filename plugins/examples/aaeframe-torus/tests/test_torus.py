"""The torus conforms, and is a torus."""

from __future__ import annotations

import math

import pytest
import torch

from aaeframe.testing import conformance_cases
from aaeframe_torus import Torus


@pytest.mark.parametrize("check", conformance_cases("aaeframe-torus", "torus(radius=3.0, tube=0.1, classes=2)"))
def test_conformance(check):
    check()


def test_points_lie_on_the_tube():
    x, y, z = Torus(radius=3.0, tube=0.5).sample((1000,)).unbind(-1)

    distance = torch.hypot(torch.hypot(x, y) - 3.0, z)  # from the middle of the tube
    torch.testing.assert_close(distance, torch.full((1000,), 0.5))


def test_a_class_is_a_sector_of_the_ring():
    points, labels = Torus(classes=4).sample_labeled((1000,))

    angle = torch.atan2(points[:, 1], points[:, 0]) % (2 * math.pi)
    assert torch.equal((angle / (math.pi / 2)).long(), labels)


def test_a_tube_thicker_than_the_ring_is_refused():
    with pytest.raises(ValueError, match="must be thinner than the ring"):
        Torus(radius=1.0, tube=1.0)
