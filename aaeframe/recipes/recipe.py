"""The base of every recipe: what a recipe declares, and what it is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar, Final, TypeAlias

from torch import Tensor
from torch.distributions import constraints
from torch.distributions.constraints import Constraint
from torch.optim import Optimizer

from aaeframe.losses.label_free import LabelFree
from aaeframe.model.autoencoder import Autoencoder
from aaeframe.model.representation import Concatenate, Representation
from aaeframe.protocols import Batch, BlockSpec, Needs
from aaeframe.recipes.adversary import Adversary
from aaeframe.recipes.corruption import Corruption
from aaeframe.recipes.steps import of_phases

Phases: TypeAlias = Mapping[str, tuple[str, ...]]
Optimizers: TypeAlias = Mapping[str, Optimizer]

AUTOENCODING: Final[Phases] = MappingProxyType(
    {
        "alternating": ("reconstruction", "discriminator", "generator"),
        "joint": ("autoencoder", "discriminator"),
    }
)
"""The phases of an adversarial autoencoder."""

CLASSIFYING: Final[Phases] = MappingProxyType(
    {
        "alternating": (*AUTOENCODING["alternating"], "classification", "consistency"),
        "joint": AUTOENCODING["joint"],
    }
)
"""The phases of a recipe with a class block."""


@dataclass(frozen=True)
class SharedSettings:
    """The settings of a run that many recipes read."""

    schedule: str = "alternating"
    corruption: Corruption = field(default_factory=Corruption)
    adversary: Adversary | None = None
    """None for a recipe that is not adversarial."""
    reconstruction_weight: float | Tensor = 1.0
    """Schedule "joint" only."""
    classification_weight: float = 1.0
    """Schedule "joint" only."""
    label_free: LabelFree = field(default_factory=LabelFree)
    """The terms of a class block that need no labels."""
    support: Constraint = constraints.real
    """The support of the data in the model's units."""


@dataclass(frozen=True)
class Recipe:
    """A training procedure.

    A recipe is a component: its class is the factory. A subclass is a frozen dataclass whose keyword-only fields are
    its options, as they stand in `[recipe]` of a configuration. It refuses what it cannot train by a ConfigError in
    `__post_init__`.
    """

    model: Autoencoder
    optimizers: Optimizers
    """The optimizer of each phase of the schedule."""
    shared: SharedSettings = field(default_factory=SharedSettings)

    needs: ClassVar[Needs] = Needs()
    phases: ClassVar[Phases] = AUTOENCODING
    """The optimizers of each schedule, the default schedule first. A run without labels has no "classification", one
    without label-free terms no "consistency". A run with priors to train has "prior" besides."""

    parameters = staticmethod(of_phases)
    """The parameters of the model that each phase updates."""

    @staticmethod
    def representation(
        blocks: Mapping[str, BlockSpec], class_block: str | None, num_classes: int | None
    ) -> Representation:
        """The function that maps a code to the decoder's input. `num_classes` is that of the labels, if any."""
        return Concatenate(blocks)

    def draw(self, batch: Batch) -> Any:
        """The prior samples of a step, which a CUDA graph cannot draw."""
        return self.adversary.draw(batch)

    def step(self, batch: Batch, draws: Any = None) -> Mapping[str, Tensor]:
        """Train on one minibatch, against `draws` or new ones, without waiting for the device.

        Returns detached scalars by name, the same names at every step.
        """
        raise NotImplementedError

    @property
    def adversary(self) -> Adversary:
        """The discriminators and their losses."""
        assert self.shared.adversary is not None, "the recipe is not adversarial"
        return self.shared.adversary

    @property
    def class_block(self) -> str:
        """The block that is the class."""
        assert self.model.class_block is not None, "the recipe has no class block"
        return self.model.class_block

    @property
    def schedule(self) -> str:
        """The order of updates."""
        return self.shared.schedule

    @property
    def corruption(self) -> Corruption:
        """The corruption of the encoder's input."""
        return self.shared.corruption

    @property
    def reconstruction_weight(self) -> float | Tensor:
        """The weight of the reconstruction loss, schedule "joint" only."""
        return self.shared.reconstruction_weight
