"""VampPrior (arXiv 1705.07120): a variational mixture of posteriors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, MixtureSameFamily, constraints

from aaeframe.protocols import DataSpec


class Vamp(nn.Module):
    """p(z) = 1/K sum_k q(z | u_k), where the K pseudo-inputs u_k are learned. They begin as training rows."""

    support = constraints.independent(constraints.real, 1)
    inputs: nn.Parameter
    posterior: Callable[[Tensor], Distribution]

    def __init__(
        self,
        *,
        size: Annotated[int, Field(ge=1, description="dimensions")] = 2,
        inputs: Annotated[int, Field(ge=1, description="pseudo-inputs")] = 50,
    ) -> None:
        super().__init__()
        self.event_shape, self._count = torch.Size([size]), inputs

    def bind(self, posterior: Callable[[Tensor], Distribution], data: DataSpec, rows: Tensor | None) -> None:
        """Take the encoder's density, and scaled rows (M, *data.shape) as the first pseudo-inputs."""
        self.posterior = posterior
        if rows is None:  # on load: a checkpoint has them
            start = torch.zeros(self._count, *data.shape)
        else:
            start = rows[torch.randint(len(rows), (self._count,), device="cpu")].clone()
        self.inputs = nn.Parameter(start)

    def _mixture(self) -> Distribution:
        weights = torch.ones(self._count, device=self.inputs.device)
        return MixtureSameFamily(
            Categorical(weights, validate_args=False), self.posterior(self.inputs), validate_args=False
        )

    def sample(self, sample_shape: tuple[int, ...] = ()) -> Tensor:
        """Samples (*sample_shape, size)."""
        with torch.no_grad():
            samples: Tensor = self._mixture().sample(torch.Size(sample_shape))
        return samples

    def log_prob(self, value: Tensor) -> Tensor:
        """The log-density in nats: (..., size) -> (...)."""
        log_prob: Tensor = self._mixture().log_prob(value)
        return log_prob

    def loss(self, code: Tensor) -> Tensor:
        """The negative log-density of codes (N, size), a scalar; the encoder is frozen here."""
        return -self.log_prob(code).mean()
