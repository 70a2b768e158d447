"""The decoder's last step."""

from __future__ import annotations

from aaeframe.protocols import DataSpec
from torch import nn
from torch.distributions import constraints


def output(data: DataSpec) -> nn.Module:
    """A sigmoid for data in [0, 1], linear for standardized data."""
    return nn.Sigmoid() if data.support is constraints.unit_interval else nn.Identity()
