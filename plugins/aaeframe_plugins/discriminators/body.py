"""The body of a discriminator: (z, labels) -> features."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from aaeframe.protocols import BlockSpec


class Body(nn.Module):
    """ReLU layers over the code and, if there are classes, a one-hot label with one additional class.

    The additional class, index `num_classes`, means "unlabeled" (paper, section 2.3).
    """

    def __init__(self, block: BlockSpec, num_classes: int | None, hidden: tuple[int, ...]) -> None:
        super().__init__()
        self.num_classes = num_classes
        width = block.event_shape.numel() + (0 if num_classes is None else num_classes + 1)
        layers: list[nn.Module] = []
        for out in hidden:
            layers += [nn.Linear(width, out), nn.ReLU()]
            width = out
        self.layers = nn.Sequential(*layers)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """(N, *event_shape), (N,) in [0, num_classes] -> (N, hidden[-1])."""
        z = z.flatten(1)
        if self.num_classes is None:
            if labels is not None:
                raise ValueError("this discriminator was built without classes and takes no labels")
            return self.layers(z)
        if labels is None:
            labels = z.new_full((len(z),), self.num_classes, dtype=torch.long)
        return self.layers(torch.cat([z, one_hot(labels, self.num_classes + 1).to(z.dtype)], dim=1))
