"""The swiss roll in the plane."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.distributions import constraints

from aaeframe.protocols import LabeledSample


class SwissRoll:
    """The spiral z = (radius s + thickness eps) (cos t, sin t), t = 2 pi turns s, s = sqrt(u).

    u ~ U(0, 1), eps ~ N(0, 1). Class k is the k-th of `classes` equal parts of u, from the center outwards (paper,
    figure 4). The geometry is that of reimplementations, because the paper prints none. It has samples but no density.
    """

    support = constraints.independent(constraints.real, 1)
    event_shape = torch.Size([2])

    def __init__(
        self,
        *,
        classes: Annotated[int, Field(gt=0, description="parts of the roll that are classes")] = 10,
        turns: Annotated[float, Field(gt=0, description="how often it winds around the center")] = 2.0,
        radius: Annotated[float, Field(gt=0, description="its outer radius")] = 3.0,
        thickness: Annotated[
            float, Field(ge=0, description="standard deviation of Gaussian noise along the radius")
        ] = 0.1,
    ) -> None:
        self.num_classes = classes
        self.turns, self.radius, self.thickness = turns, radius, thickness

    def sample_labeled(self, sample_shape: torch.Size = torch.Size()) -> LabeledSample:
        """Samples (*sample_shape, 2) and the part of the roll of each (*sample_shape)."""
        shape = torch.Size(sample_shape)
        labels = torch.randint(self.num_classes, shape)
        root = ((labels + torch.rand(shape)) / self.num_classes).sqrt()
        angle = 2 * math.pi * self.turns * root
        # Noise along the radius widens the roll but does not blur borders between classes, which are radial, too.
        radius = self.radius * root + self.thickness * torch.randn(shape)
        return LabeledSample(radius.unsqueeze(-1) * torch.stack([angle.cos(), angle.sin()], dim=-1), labels)

    def sample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:
        """Samples (*sample_shape, 2) of the whole roll."""
        return self.sample_labeled(sample_shape).value

    def curve(self, count: int) -> Tensor:
        """Codes (count, 2) along the middle of the roll, from the center outwards, at equal angles."""
        root = torch.linspace(0, 1, count)
        angle = 2 * math.pi * self.turns * root
        return self.radius * root.unsqueeze(-1) * torch.stack([angle.cos(), angle.sin()], dim=-1)
