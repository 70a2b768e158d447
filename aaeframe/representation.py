"""What stands between code and decoder: (code, labels) -> the decoder's input, (N, size)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from aaeframe.protocols import BlockSpec, Code


class Concatenate(nn.Module):
    """The latent blocks side by side, in the order of the prior (paper, sections 2 and 5). Labels are not used."""

    def __init__(self, blocks: Mapping[str, BlockSpec]) -> None:
        super().__init__()
        self.blocks = tuple(blocks)
        self.size = sum(block.event_shape.numel() for block in blocks.values())

    def forward(self, code: Code, labels: Tensor | None = None) -> Tensor:
        """Code, each block (N, *event_shape) -> (N, size)."""
        return torch.cat([code[name].flatten(1) for name in self.blocks], dim=1)
