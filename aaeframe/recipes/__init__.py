"""The training procedures, one file each, which read like the paper. This catalogue is torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class RecipeInfo:
    """What the configuration must know of a recipe."""

    factory: str
    section: str
    """What it is in the paper."""
    schedules: Mapping[str, tuple[str, ...]]
    """The optimizers of each schedule."""

    def load(self) -> Any:
        """Import the recipe's class."""
        module, _, name = self.factory.partition(":")
        return getattr(import_module(module), name)


RECIPES: Final[Mapping[str, RecipeInfo]] = MappingProxyType(
    {
        "unsupervised": RecipeInfo(
            factory="aaeframe.recipes.unsupervised:Unsupervised",
            section="section 2: reconstruction and regularization, informed by labels if there are any",
            schedules={
                "alternating": ("reconstruction", "discriminator", "generator"),
                "joint": ("autoencoder", "discriminator"),
            },
        ),
    }
)
