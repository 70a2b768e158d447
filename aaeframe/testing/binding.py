"""Priors bound to a small encoder, as a run binds them to its own, and the check of `bind`."""

from __future__ import annotations

import copy
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal, TransformedDistribution, constraints
from torch.distributions.transforms import Transform

from aaeframe import supports
from aaeframe.model.autoencoder import Posterior
from aaeframe.model.priors import block_spec
from aaeframe.protocols import BlockSpec, DataSpec
from aaeframe.testing.case import require, seeded
from aaeframe.testing.priors import PriorCase, sample_seeded
from aaeframe.testing.state_dicts import hand_over_state

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
    prior.bind(Posterior(encoder, "z"), DATA, rows)
    return encoder


@seeded
def check_bind(case: PriorCase) -> None:
    """A prior that is bound again without rows, and given its state, samples the same; the encoder is no part of it."""
    first, second = case.factory(), case.factory()
    encoder = bound(first, torch.randn(ROWS, *SHAPE))
    bound(second, None, encoder)
    for prior in (first, second):
        owned = set(prior.modules()) & set(encoder.modules()) if isinstance(prior, nn.Module) else set()
        require(not owned, "the encoder must not be a submodule of the prior: keep the function that bind is given")
    if isinstance(first, nn.Module):
        hand_over_state(first, second)
    require(
        torch.equal(sample_seeded(first, 1), sample_seeded(second, 1)),
        "bound without rows, and given the state_dict of the first, a second instance must sample the same",
    )
    copied = copy.deepcopy({"prior": first, "encoder": encoder})
    with torch.no_grad():
        for it in encoder.parameters():
            it.fill_(torch.nan)
    require(
        bool(copied["prior"].sample(torch.Size([5])).isfinite().all()),
        "a copy of the prior must use the copy's encoder: keep the object `posterior` itself in an attribute, and no "
        "function that calls it",
    )
