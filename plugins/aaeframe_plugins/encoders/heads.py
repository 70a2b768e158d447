"""Linear heads: features -> latent blocks on their supports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, TypeAlias

from pydantic import Field
from torch import Tensor, nn

from aaeframe import supports
from aaeframe.protocols import BlockSpec, Code

HeadNorm: TypeAlias = Annotated[bool, Field(description="batch norm on the heads, before the map into the support")]


class Heads(nn.Module):
    """One linear layer for each block, mapped into the relaxation of the block's support.

    With `batch_norm` the layers' outputs are normalized over the minibatch before the map. This keeps every category of
    a softmax in use (paper, appendix A, for clusters).
    """

    def __init__(self, num_features: int, blocks: Mapping[str, BlockSpec], *, batch_norm: bool = False) -> None:
        super().__init__()
        self._supports = {name: supports.resolve(block.support, block.event_shape) for name, block in blocks.items()}
        sizes = {name: s.head_shape.numel() for name, s in self._supports.items()}
        self.linear = nn.ModuleDict({name: nn.Linear(num_features, size) for name, size in sizes.items()})
        self.norm = nn.ModuleDict({name: nn.BatchNorm1d(size) for name, size in sizes.items()} if batch_norm else {})

    def forward(self, features: Tensor) -> Code:
        """(N, num_features) -> each block (N, *event_shape)."""
        raw = {name: layer(features) for name, layer in self.linear.items()}
        raw |= {name: norm(raw[name]) for name, norm in self.norm.items()}
        return {name: s.transform(raw[name].unflatten(1, s.head_shape)) for name, s in self._supports.items()}
