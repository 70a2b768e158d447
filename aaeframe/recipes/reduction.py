"""Section 7 of the paper: a representation in few dimensions, W_C y + z, with cluster heads kept apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import pdist
from torch.optim import Optimizer

from aaeframe.model.representation import ClusterHeads
from aaeframe.protocols import Batch
from aaeframe.recipes.adversary import Draws, Losses
from aaeframe.recipes.semi_supervised import SemiSupervised
from aaeframe.recipes.steps import descend, of_phases


@dataclass(frozen=True)
class Reduction:
    """A class y and a style z as in sections 5 or 6, of which the decoder sees only the sum W_C y + z.

    After each of their steps the heads, the rows of W_C, take one of their own: of every pair closer than `distance`
    the shortfall is the cost, "repulsion".
    """

    classes: SemiSupervised
    """With labels or without."""
    heads: ClusterHeads
    optimizers: Mapping[str, Optimizer]
    distance: float

    parameters = staticmethod(of_phases)

    def draw(self, batch: Batch) -> Draws:
        """The prior samples of a step."""
        return self.classes.draw(batch)

    def step(self, batch: Batch, draws: Draws | None = None) -> Losses:
        """One step; no host synchronization."""
        return {**self.classes.step(batch, draws), **self.repulsion_phase()}

    def repulsion_phase(self) -> Losses:
        """Update the heads to stand at least `distance` apart."""
        loss = repulsion(self.heads.weight, self.distance)
        descend(loss, self.optimizers["heads"])
        return {"repulsion": loss.detach()}


def repulsion(heads: Tensor, distance: float) -> Tensor:
    """The sum over pairs of heads (m, n) of max(0, distance - their distance)."""
    return (distance - pdist(heads)).relu().sum()
