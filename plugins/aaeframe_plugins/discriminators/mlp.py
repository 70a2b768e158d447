"""The paper's discriminator."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from aaeframe.protocols import BlockSpec
from aaeframe_plugins.discriminators.body import Body

Width = Annotated[int, Field(gt=0)]


class MLP(nn.Module):
    """The logit D(z) = w · relu(W2 relu(W1 z)) + b of z being from the prior (paper, appendix A)."""

    def __init__(
        self,
        block: BlockSpec,
        num_classes: int | None,
        *,
        hidden: Annotated[tuple[Width, ...], Field(min_length=1, description="widths of the ReLU layers")] = (
            1000,
            1000,
        ),
    ) -> None:
        super().__init__()
        self.body = Body(block, num_classes, hidden)
        self.head = nn.Linear(hidden[-1], 1)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """(N, *event_shape), (N,) -> logits (N,)."""
        return self.head(self.body(z, labels)).squeeze(-1)
