"""The uniform distribution on the unit sphere, and the way of an encoder's head to it."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.distributions.constraints import Constraint
from torch.nn.functional import normalize

from aaeframe import supports

TOLERANCE = 1e-4
"""The largest accepted difference of a vector's length from 1, because float32 rounds."""


class UnitSphere(Constraint):
    """Vectors of length 1."""

    is_discrete = False
    event_dim = 1

    def check(self, value: Tensor) -> Tensor:
        """(..., n) -> (...)."""
        return (value.norm(dim=-1) - 1).abs() < TOLERANCE


def _normalized(sphere: UnitSphere, event_shape: torch.Size) -> supports.Support:
    """A head puts out n real numbers and is divided by its length: at least in float32, whatever the autocast."""

    def onto_sphere(raw: Tensor) -> Tensor:
        return normalize(raw.to(torch.promote_types(raw.dtype, torch.float32)), dim=-1)

    return supports.Support(event_shape, onto_sphere, sphere)


supports.register(UnitSphere, _normalized)


class Hypersphere:
    """The uniform distribution on S^(n-1), the unit sphere of n dimensions (arXiv 1804.00891).

    Its density is one over the sphere's area: nats per unit of area, not of volume, of which the sphere has none.
    """

    support = UnitSphere()

    def __init__(
        self, *, size: Annotated[int, Field(ge=2, description="dimensions of the space around it")] = 3
    ) -> None:
        self.event_shape = torch.Size([size])

    def sample(self, sample_shape: tuple[int, ...] = ()) -> Tensor:
        """Points (*sample_shape, n): a Gaussian looks the same in every direction, and so does its direction."""
        return normalize(torch.randn(*sample_shape, *self.event_shape), dim=-1)

    def log_prob(self, value: Tensor) -> Tensor:
        """-log(2 pi^(n/2) / Gamma(n/2)) on the sphere, minus infinity off it: (..., n) -> (...)."""
        n = self.event_shape.numel()
        log_area = math.log(2) + n / 2 * math.log(math.pi) - math.lgamma(n / 2)
        on_sphere = self.support.check(value)
        return torch.where(on_sphere, -log_area, -math.inf).to(value.dtype)
