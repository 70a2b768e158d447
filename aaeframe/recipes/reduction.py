"""Section 7 of the paper: a representation in few dimensions, W_C y + z, with cluster heads kept apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Annotated, ClassVar, cast

from pydantic import Field
from torch import Tensor
from torch.distributions import constraints
from torch.nn.functional import pdist

from aaeframe.errors import ConfigError
from aaeframe.model.representation import ClusterHeads
from aaeframe.protocols import Batch, BlockSpec, Needs
from aaeframe.recipes.adversary import Draws, StepLosses
from aaeframe.recipes.recipe import CLASSIFYING
from aaeframe.recipes.semi_supervised import SemiSupervised
from aaeframe.recipes.steps import descend
from aaeframe.supports import unwrapped


@dataclass(frozen=True)
class Reduction(SemiSupervised):
    """A class y and a style z as in sections 5 or 6, of which the decoder sees only the sum W_C y + z.

    Each step ends with an update of the cluster heads, the rows of W_C. Its loss "repulsion" is, over pairs of heads
    closer than `head_distance`, how much they fall short of it.
    """

    _: KW_ONLY
    head_distance: Annotated[float, Field(gt=0, description="how far apart cluster heads are kept")] = 6.0
    """The default distance: three standard deviations of a standard normal style for each of two heads."""

    needs: ClassVar = Needs(labels="optional", class_block=True)
    phases: ClassVar = {name: (*phases, "heads") for name, phases in CLASSIFYING.items()}

    @staticmethod
    def representation(
        blocks: Mapping[str, BlockSpec], class_block: str | None, num_classes: int | None
    ) -> ClusterHeads:
        """W_C y + z. ConfigError unless there is one block of real numbers next to the class."""
        assert class_block is not None
        style = [name for name in blocks if name != class_block]
        if len(style) != 1 or unwrapped(blocks[style[0]].support) is not constraints.real:
            raise ConfigError(
                f"the representation W_C y + z needs, beside the class {class_block!r}, one block of real numbers, "
                f"found {style}; for example --prior 'categorical+gaussian(size=2)'"
            )
        return ClusterHeads(blocks, class_block, style[0])

    def step(self, batch: Batch, draws: Draws | None = None) -> StepLosses:
        """One step; no host synchronization."""
        return {**super().step(batch, draws), **self.repulsion_phase()}

    def repulsion_phase(self) -> StepLosses:
        """Update the heads to stand at least `head_distance` apart."""
        loss = repulsion(cast(ClusterHeads, self.model.representation).weight, self.head_distance)
        descend(loss, self.optimizers["heads"])
        return {"repulsion": loss.detach()}


def repulsion(heads: Tensor, distance: float) -> Tensor:
    """The sum over pairs of heads (m, n) of max(0, distance - their distance)."""
    return (distance - pdist(heads)).relu().sum()
