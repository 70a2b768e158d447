"""The decoder's last step."""

from __future__ import annotations

from torch import nn
from torch.distributions import constraints

from aaeframe.protocols import DataSpec


def output(data: DataSpec) -> nn.Module:
    """A sigmoid for data in [0, 1], linear for standardized data."""
    return nn.Sigmoid() if data.support is constraints.unit_interval else nn.Identity()
