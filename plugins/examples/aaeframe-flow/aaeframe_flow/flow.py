"""A neural spline flow p(z) (arXiv 1906.04032), by the library zuko."""

from __future__ import annotations

from typing import Annotated

import torch
import zuko
from pydantic import Field
from torch import Tensor, nn
from torch.distributions import constraints


class Flow(nn.Module):
    """A normalizing flow whose parameters maximize the density of the codes.

    The adversary holds codes to the flow, and the flow moves to the codes: so the prior is learned. With the recipe
    "variational" it is trained by the evidence lower bound instead.
    """

    support = constraints.independent(constraints.real, 1)

    def __init__(
        self,
        *,
        size: Annotated[int, Field(ge=1, description="dimensions")] = 2,
        transforms: Annotated[int, Field(ge=1, description="autoregressive transforms, one after another")] = 3,
        hidden: Annotated[list[int], Field(description="widths of the hidden layers of each")] = [64, 64],  # noqa: B006
    ) -> None:
        super().__init__()
        self.event_shape = torch.Size([size])
        self.flow = zuko.flows.NSF(features=size, transforms=transforms, hidden_features=hidden)

    def sample(self, sample_shape: tuple[int, ...] = ()) -> Tensor:
        """Samples (*sample_shape, size)."""
        with torch.no_grad():
            samples: Tensor = self.flow().sample(torch.Size(sample_shape))
        return samples

    def log_prob(self, value: Tensor) -> Tensor:
        """The log-density in nats: (..., size) -> (...)."""
        log_prob: Tensor = self.flow().log_prob(value)
        return log_prob

    def loss(self, code: Tensor) -> Tensor:
        """The negative log-density of codes (N, size), a scalar."""
        return -self.log_prob(code).mean()
