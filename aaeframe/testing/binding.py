"""Priors bound to a small encoder, as a run binds them to its own."""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal, TransformedDistribution, constraints
from torch.distributions.transforms import Transform

from aaeframe import supports
from aaeframe.model.posterior import Posterior
from aaeframe.model.priors import block_spec
from aaeframe.protocols import BlockSpec, DataSpec
from aaeframe.testing.case import require

SHAPE: Final = torch.Size([6])
DATA: Final = DataSpec(SHAPE, constraints.real, torch.zeros(SHAPE), torch.ones(SHAPE))
ROWS: Final = 500


class SmallEncoder(nn.Module):
    """A Gaussian q(z | x) of one block, linear in x."""

    def __init__(self, block: BlockSpec) -> None:
        super().__init__()
        self._support = supports.resolve(block.support, block.event_shape)
        self.loc = nn.Linear(SHAPE.numel(), self._support.head_shape.numel())

    def posterior(self, x: Tensor) -> dict[str, Distribution]:
        """Rows (N, 6) -> q(z | x), if the way into the support has a density."""
        transform, shape = self._support.transform, self._support.head_shape
        if not (isinstance(transform, Transform) and transform.bijective):
            return {}
        normal = Independent(Normal(self.loc(x).unflatten(1, shape), 0.5, validate_args=False), len(shape))
        return {"z": TransformedDistribution(normal, [transform], validate_args=False)}


def bound(prior: Any, rows: Tensor | None, encoder: SmallEncoder | None = None) -> SmallEncoder:
    """Bind a prior, and return the encoder: a given one, or one that has the same weights each time."""
    if encoder is None:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(0)
            encoder = SmallEncoder(block_spec(prior))
    before = encoder.loc.weight.detach().clone()
    prior.bind(Posterior(encoder, "z"), DATA, rows)
    require(torch.equal(encoder.loc.weight, before), "bind must leave the encoder as it is, which others train")
    return encoder
