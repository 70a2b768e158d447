"""The decoder's output layer, and the option for batch norm, shared by both networks."""

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
    """A sigmoid in at least float32, even under autocast: in bfloat16 the sigmoid of 7 rounds to 1."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply the sigmoid elementwise, to any shape."""
        return x.to(torch.promote_types(x.dtype, torch.float32)).sigmoid()
