"""The training procedures, one file each, which read like the paper."""

from aaeframe.processes import averaged, gathered
from aaeframe.recipes.adversary import Adversary, Draws, StepLosses, detached
from aaeframe.recipes.corruption import Corruption
from aaeframe.recipes.recipe import Optimizers, Phases, Recipe, SharedSettings
from aaeframe.recipes.steps import batch_statistics_kept, descend, frozen

__all__ = [
    "Adversary",
    "Corruption",
    "Draws",
    "Optimizers",
    "Phases",
    "Recipe",
    "SharedSettings",
    "StepLosses",
    "averaged",
    "batch_statistics_kept",
    "descend",
    "detached",
    "frozen",
    "gathered",
]
