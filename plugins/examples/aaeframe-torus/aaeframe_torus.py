"""A prior on a torus."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from aaeframe import Component, hookimpl

if TYPE_CHECKING:
    from torch import Tensor

    from aaeframe.protocols import LabeledSample

aaeframe_api = 1


@hookimpl
def aaeframe_priors() -> list[Component]:
    """The one prior of this plugin."""
    return [Component("torus", "aaeframe_torus:Torus", "a torus in three dimensions; knows labels, no density")]


class Torus:
    """Points on a torus, uniform in both angles.

    Class k is the k-th of `classes` equal sectors along the ring.
    """

    def __init__(
        self,
        *,
        radius: Annotated[float, Field(gt=0, description="of the ring")] = 2.0,
        tube: Annotated[float, Field(gt=0, description="radius of the tube around it")] = 0.5,
        classes: Annotated[int, Field(gt=0, description="sectors of the ring that are classes")] = 10,
    ) -> None:
        import torch  # here, and not above: listing plugins imports this module
        from torch.distributions import constraints

        if tube >= radius:
            raise ValueError(f"the tube, of radius {tube}, must be thinner than the ring, of radius {radius}")
        self.radius, self.tube, self.num_classes = radius, tube, classes
        self.event_shape = torch.Size([3])
        self.support = constraints.independent(constraints.real, 1)

    def sample_labeled(self, sample_shape: tuple[int, ...] = ()) -> LabeledSample:
        """Points (*sample_shape, 3) and the sector each lies in (*sample_shape)."""
        import torch

        from aaeframe.protocols import LabeledSample

        labels = torch.randint(self.num_classes, sample_shape)
        along = 2 * math.pi * (labels + torch.rand(sample_shape)) / self.num_classes
        around = 2 * math.pi * torch.rand(sample_shape)
        ring = self.radius + self.tube * around.cos()
        points = torch.stack([ring * along.cos(), ring * along.sin(), self.tube * around.sin()], dim=-1)
        return LabeledSample(points, labels)

    def sample(self, sample_shape: tuple[int, ...] = ()) -> Tensor:
        """Points (*sample_shape, 3) of the whole torus."""
        return self.sample_labeled(sample_shape).value
