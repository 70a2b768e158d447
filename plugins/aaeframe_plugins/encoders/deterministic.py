"""The deterministic encoder z = f(x)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from aaeframe.protocols import BlockSpec, Code, Network
from aaeframe_plugins.encoders.heads import HeadNorm, Heads


class Deterministic(nn.Module):
    """A code that is a function of the input; all randomness of q(z) is the data's (paper, section 2)."""

    noise_shape = torch.Size()

    def __init__(self, network: Network, blocks: Mapping[str, BlockSpec], *, batch_norm: HeadNorm = False) -> None:
        super().__init__()
        self.body = network.encoder
        self.heads = Heads(network.num_features, blocks, batch_norm=batch_norm)

    def forward(self, x: Tensor, noise: Tensor | None = None) -> Code:
        """(N, *shape) -> each block (N, *event_shape); noise is not used."""
        return self.heads(self.body(x))
