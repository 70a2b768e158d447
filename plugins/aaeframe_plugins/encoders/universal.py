"""The universal encoder z = f(x, eta)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from aaeframe.protocols import BlockSpec, Code, Network
from aaeframe_plugins.encoders.heads import HeadNorm, Heads

Width = Annotated[int, Field(gt=0)]


class Universal(nn.Module):
    """The universal approximator of the posterior: z = f(x, eta), eta ~ N(0, I) (paper, section 2).

    The noise is concatenated with the network's features and passes with them through ReLU layers. So q(z | x) need not
    be Gaussian: any continuous map of eta that depends on x can be learned.
    """

    def __init__(
        self,
        network: Network,
        blocks: Mapping[str, BlockSpec],
        *,
        noise_size: Annotated[int, Field(gt=0, description="dimensions of eta")] = 10,
        hidden: Annotated[
            tuple[Width, ...],
            Field(min_length=1, description="widths of the layers that mix features and noise"),
        ] = (256, 256),
        batch_norm: HeadNorm = False,
    ) -> None:
        super().__init__()
        self.body = network.encoder
        self.noise_shape = torch.Size([noise_size])
        layers: list[nn.Module] = []
        width = network.num_features + noise_size
        for out in hidden:
            layers += [nn.Linear(width, out), nn.ReLU()]
            width = out
        self.mix = nn.Sequential(*layers)
        self.heads = Heads(width, blocks, batch_norm=batch_norm)

    def forward(self, x: Tensor, noise: Tensor | None = None) -> Code:
        """(N, *shape), standard normal noise (N, noise_size) -> each block (N, *event_shape)."""
        features = self.body(x)
        if noise is None:
            noise = torch.randn(len(x), *self.noise_shape, device=features.device, dtype=features.dtype)
        return self.heads(self.mix(torch.cat([features, noise.to(features.dtype)], dim=1)))
