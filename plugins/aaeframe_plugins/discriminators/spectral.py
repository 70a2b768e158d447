"""The discriminator with spectral normalization."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from aaeframe.protocols import BlockSpec
from aaeframe_plugins.discriminators.body import Body

Width = Annotated[int, Field(gt=0)]


class Spectral(nn.Module):
    """A discriminator whose layers have spectral norm 1, so that it is 1-Lipschitz (arXiv 1802.05957).

    In training mode each call runs power iterations; evaluation mode does not change the estimate.
    """

    def __init__(
        self,
        block: BlockSpec,
        num_classes: int | None,
        *,
        hidden: Annotated[tuple[Width, ...], Field(min_length=1, description="widths of the ReLU layers")] = (
            1000,
            1000,
        ),
        power_iterations: Annotated[int, Field(gt=0, description="power iterations in each training call")] = 1,
    ) -> None:
        super().__init__()
        self.body = Body(block, num_classes, hidden)
        self.head = nn.Linear(hidden[-1], 1)
        for layer in [*self.body.layers, self.head]:
            if isinstance(layer, nn.Linear):
                spectral_norm(layer, n_power_iterations=power_iterations)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """(N, *event_shape), (N,) -> logits (N,)."""
        return self.head(self.body(z, labels)).squeeze(-1)
