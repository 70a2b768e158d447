"""A discriminator over random Fourier features."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import one_hot

from aaeframe.protocols import BlockSpec

Width = Annotated[int, Field(gt=0)]


class Waves(nn.Module):
    """The body, (z, labels) -> features: ReLU layers over [z, cos Wz, sin Wz], W ~ N(0, scale²) drawn once."""

    frequencies: Tensor

    def __init__(self, size: int, num_classes: int | None, waves: int, scale: float, hidden: tuple[int, ...]) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.register_buffer("frequencies", scale * torch.randn(size, waves))  # a buffer: in the checkpoint
        width = size + 2 * waves + (0 if num_classes is None else num_classes + 1)
        layers: list[nn.Module] = []
        for out in hidden:
            layers += [nn.Linear(width, out), nn.ReLU()]
            width = out
        self.layers = nn.Sequential(*layers)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """(N, *event_shape), (N,) in [0, num_classes] -> (N, hidden[-1])."""
        z = z.flatten(1)
        phase = z @ self.frequencies
        parts = [z, phase.cos(), phase.sin()]
        if self.num_classes is not None:
            if labels is None:  # every row is "unlabeled", the class after the last
                labels = torch.full((len(z),), self.num_classes, device=z.device)
            parts.append(one_hot(labels, self.num_classes + 1).to(z.dtype))
        return self.layers(torch.cat(parts, dim=1))


class Fourier(nn.Module):
    """Sees a code as waves of many lengths, and so fine structure that ReLU layers learn last (arXiv 2006.10739).

    For priors thin or curled up in few dimensions. With `scale` the waves become shorter, the details finer and the
    gradient for the encoder steeper.
    """

    def __init__(
        self,
        block: BlockSpec,
        num_classes: int | None,
        *,
        waves: Annotated[int, Field(gt=0, description="random frequencies, with a cosine and a sine each")] = 64,
        scale: Annotated[float, Field(gt=0, description="standard deviation of the frequencies")] = 1.0,
        hidden: Annotated[tuple[Width, ...], Field(min_length=1, description="widths of the ReLU layers")] = (256, 256),
    ) -> None:
        super().__init__()
        self.body = Waves(block.event_shape.numel(), num_classes, waves, scale, hidden)
        self.head = nn.Linear(hidden[-1], 1)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """(N, *event_shape), (N,) -> logits (N,)."""
        return self.head(self.body(z, labels)).squeeze(-1)
