"""What both networks share: the decoder's last step, and where batch norm may stand."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.distributions import constraints

from aaeframe.protocols import DataSpec

BatchNorm: TypeAlias = Annotated[
    Literal["none", "encoder", "everywhere"],
    Field(description="before each ReLU of the encoder, or also of the decoder and on its output"),
]


def output(data: DataSpec) -> nn.Module:
    """A sigmoid for data in [0, 1], linear for standardized data."""
    return Sigmoid() if data.support is constraints.unit_interval else nn.Identity()


class Sigmoid(nn.Module):
    """A sigmoid at least in float32, whatever the autocast: in bfloat16 that of 7 is 1."""

    def forward(self, x: Tensor) -> Tensor:
        """Elementwise, any shape."""
        return x.to(torch.promote_types(x.dtype, torch.float32)).sigmoid()
