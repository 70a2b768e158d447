"""The Gaussian encoder z = mu(x) + sigma(x) eps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal, TransformedDistribution
from torch.distributions.transforms import Transform, identity_transform
from torch.nn.functional import softplus

from aaeframe import supports
from aaeframe.protocols import BlockSpec, Code, Network


class Gaussian(nn.Module):
    """A Gaussian with diagonal covariance, reparameterized (paper, section 2; arXiv 1312.6114).

    For a block on the real line this is q(z | x) itself. Otherwise the Gaussian is drawn before the map into the
    support, for example a logistic normal on the simplex.
    """

    def __init__(
        self,
        network: Network,
        blocks: Mapping[str, BlockSpec],
        *,
        min_scale: Annotated[float, Field(gt=0, description="smallest standard deviation of q(z | x)")] = 1e-3,
    ) -> None:
        super().__init__()
        self.body = network.encoder
        self.min_scale = min_scale
        self._supports = {name: supports.resolve(block.support, block.event_shape) for name, block in blocks.items()}
        sizes = {name: s.head_shape.numel() for name, s in self._supports.items()}
        self.noise_shape = torch.Size([sum(sizes.values())])
        self.loc = nn.ModuleDict({name: nn.Linear(network.num_features, n) for name, n in sizes.items()})
        self.scale = nn.ModuleDict({name: nn.Linear(network.num_features, n) for name, n in sizes.items()})

    def forward(self, x: Tensor, noise: Tensor | None = None) -> Code:
        """(N, *shape), standard normal noise (N, *noise_shape) -> each block (N, *event_shape)."""
        features = self.body(x)
        if noise is None:
            noise = torch.randn(len(x), *self.noise_shape, device=features.device, dtype=features.dtype)
        code, start = {}, 0
        for name, s in self._supports.items():
            loc, scale = self._moments(name, features)
            eps = noise[:, start : (start := start + loc.shape[1])]
            code[name] = s.transform((loc + scale * eps).unflatten(1, s.head_shape))
        return code

    def posterior(self, x: Tensor) -> Mapping[str, Distribution]:
        """The posterior q(z | x) of each block with a bijective map into its support; batch_shape (N,)."""
        features = self.body(x)
        return {
            name: self._posterior(name, features, s.transform)
            for name, s in self._supports.items()
            if isinstance(s.transform, Transform) and s.transform.bijective
        }

    def _posterior(self, name: str, features: Tensor, transform: Transform) -> Distribution:
        shape = self._supports[name].head_shape
        loc, scale = (moment.unflatten(1, shape) for moment in self._moments(name, features))
        # Not validated, because reading the values would wait for the device.
        normal = Independent(Normal(loc, scale, validate_args=False), len(shape), validate_args=False)
        if transform is identity_transform:
            return normal
        return TransformedDistribution(normal, [transform], validate_args=False)

    def _moments(self, name: str, features: Tensor) -> tuple[Tensor, Tensor]:
        loc, scale = self.loc[name](features), self.scale[name](features)
        full = torch.promote_types(loc.dtype, torch.float32)  # even under autocast: densities need the precision
        return loc.to(full), softplus(scale.to(full)) + self.min_scale
