"""Linear heads: features -> latent blocks on their supports."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from aaeframe import supports
from aaeframe.protocols import BlockSpec, Code


class Heads(nn.Module):
    """One linear layer for each block, mapped into the relaxation of the block's support."""

    def __init__(self, num_features: int, blocks: Mapping[str, BlockSpec]) -> None:
        super().__init__()
        self._supports = {name: supports.resolve(block.support, block.event_shape) for name, block in blocks.items()}
        self.linear = nn.ModuleDict(
            {name: nn.Linear(num_features, s.head_shape.numel()) for name, s in self._supports.items()}
        )

    def forward(self, features: Tensor) -> Code:
        """(N, num_features) -> each block (N, *event_shape)."""
        return {
            name: s.transform(self.linear[name](features).unflatten(1, s.head_shape))
            for name, s in self._supports.items()
        }
