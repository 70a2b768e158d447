"""A mixture of Gaussians whose components are classes."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal, constraints

from aaeframe.protocols import LabeledSample

Vector = list[float]


class Mixture(nn.Module):
    """Equally likely Gaussians; component k is the region of class k (paper, figures 2 and 4).

    Without `means`, the components are petals: on a circle in the plane, each long along its radius and narrow across.
    The paper prints no sizes; the defaults are common in reimplementations. With `means`, each component is a Gaussian
    with the standard deviations `scales` along the axes, in any number of dimensions.
    """

    support = constraints.independent(constraints.real, 1)

    def __init__(
        self,
        *,
        components: Annotated[
            int | None, Field(gt=0, description="number of petals; 10 by default, or one for each of means")
        ] = None,
        radius: Annotated[
            float | None, Field(ge=0, description="petals: distance of their centers from 0; 1.4 by default")
        ] = None,
        radial_scale: Annotated[
            float | None, Field(gt=0, description="petals: standard deviation along the radius; 0.5 by default")
        ] = None,
        tangential_scale: Annotated[
            float | None, Field(gt=0, description="petals: standard deviation across it; 0.1 by default")
        ] = None,
        means: Annotated[
            list[Vector] | None, Field(min_length=1, description="means of general components, one row each")
        ] = None,
        scales: Annotated[
            list[Vector] | None,
            Field(min_length=1, description="their standard deviations, one row each or one for all"),
        ] = None,
    ) -> None:
        super().__init__()
        if means is None:
            if scales is not None:
                raise ValueError("scales belong to means: give both, or radial_scale and tangential_scale")
            loc, scale_tril = _petals(
                10 if components is None else components,
                1.4 if radius is None else radius,
                0.5 if radial_scale is None else radial_scale,
                0.1 if tangential_scale is None else tangential_scale,
            )
        else:
            if radius is not None or radial_scale is not None or tangential_scale is not None:
                raise ValueError("radius, radial_scale and tangential_scale shape petals; with means use scales")
            loc, scale_tril = _general(means, scales, components)
        self.register_buffer("loc", loc, persistent=False)
        self.register_buffer("scale_tril", scale_tril, persistent=False)
        self.num_classes = len(loc)
        self.event_shape = torch.Size([loc.shape[1]])

    loc: Tensor
    scale_tril: Tensor

    def sample_labeled(self, sample_shape: torch.Size = torch.Size()) -> LabeledSample:
        """Samples (*sample_shape, D) and the component each was drawn from (*sample_shape)."""
        shape = torch.Size(sample_shape)
        labels = torch.randint(self.num_classes, shape, device=self.loc.device)
        eps = torch.randn(*shape, *self.event_shape, device=self.loc.device)
        offset = (self.scale_tril[labels] @ eps.unsqueeze(-1)).squeeze(-1)
        return LabeledSample(self.loc[labels] + offset, labels)

    def sample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:
        """Samples (*sample_shape, D) of the whole mixture."""
        return self.sample_labeled(sample_shape).value

    def log_prob(self, value: Tensor) -> Tensor:
        """The log-density log p(z) in nats: (..., D) -> (...)."""
        # Not validated, because reading the values would wait for the device.
        weights = Categorical(logits=torch.zeros(self.num_classes, device=self.loc.device), validate_args=False)
        parts = MultivariateNormal(self.loc, scale_tril=self.scale_tril, validate_args=False)
        return MixtureSameFamily(weights, parts, validate_args=False).log_prob(value)


def _petals(count: int, radius: float, radial: float, tangential: float) -> tuple[Tensor, Tensor]:
    """Means (K, 2) and Cholesky factors (K, 2, 2): component k lies at the angle 2 pi k / K.

    The factor [[a, 0], [b, c]] is computed directly: squaring the scales would lose the precision of a thin petal.
    """
    angle = torch.arange(count, dtype=torch.double) * (2 * math.pi / count)
    cos, sin = angle.cos(), angle.sin()
    a = torch.hypot(radial * cos, tangential * sin)
    b = (radial - tangential) * (radial + tangential) * sin * cos / a
    c = radial * tangential / a
    rows = [torch.stack([a, torch.zeros_like(a)], dim=-1), torch.stack([b, c], dim=-1)]
    return radius * torch.stack([cos, sin], dim=-1).float(), torch.stack(rows, dim=-2).float()


def _general(means: list[Vector], scales: list[Vector] | None, components: int | None) -> tuple[Tensor, Tensor]:
    """Means (K, D) and diagonal factors (K, D, D) as given."""
    if len({len(row) for row in means}) != 1 or not means[0]:
        raise ValueError(f"means must be rows of one length, found lengths {[len(row) for row in means]}")
    loc = torch.tensor(means)
    if components is not None and components != len(loc):
        raise ValueError(f"components is {components}, but means has {len(loc)} rows: leave components out")
    rows = [[1.0] * loc.shape[1]] if scales is None else scales
    if len(rows) not in (1, len(loc)) or any(len(row) != loc.shape[1] for row in rows):
        raise ValueError(f"scales must be 1 or {len(loc)} rows of {loc.shape[1]} numbers, as means has")
    if any(value <= 0 for row in rows for value in row):
        raise ValueError(f"scales are standard deviations and must be positive, found {scales}")
    return loc, torch.diag_embed(torch.tensor(rows).expand_as(loc).contiguous())
