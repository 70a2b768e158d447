"""The training procedures, one file each, which read like the paper. This catalogue is torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import Any, Final, Literal, TypeAlias

Labels: TypeAlias = Literal["told", "required", "optional", "every", "none"]
"""What labels are for: told to discriminators; classified, of necessity or if given; those of all rows given to the
decoder; not used."""

ClassMetric: TypeAlias = Literal["classification", "clustering"]
"""Whether the categories of a class block are the classes, or clusters that take a class each."""

_AUTOENCODING = {
    "alternating": ("reconstruction", "discriminator", "generator"),
    "joint": ("autoencoder", "discriminator"),
}
_CLASSIFYING = {
    "alternating": (*_AUTOENCODING["alternating"], "classification", "consistency"),
    "joint": _AUTOENCODING["joint"],
}


@dataclass(frozen=True, slots=True)
class RecipeInfo:
    """What the configuration must know of a recipe."""

    factory: str
    section: str
    """What it is in the paper."""
    schedules: Mapping[str, tuple[str, ...]]
    """The optimizers of each schedule. "classification" is used with labels, "consistency" with label-free terms."""
    labels: Labels
    representation: Literal["concatenate", "with label", "cluster heads"] = "concatenate"
    class_block: bool = False
    """Whether one block is the class, with which label-free terms go."""
    adversarial: bool = True

    def judge(self, labels: int) -> ClassMetric | None:
        """How the class block is to be judged in a run that is given so many labels; None without one."""
        if not self.class_block:
            return None
        return "classification" if labels else "clustering"

    def load(self) -> Any:
        """Import the recipe's class."""
        module, _, name = self.factory.partition(":")
        return getattr(import_module(module), name)


RECIPES: Final[Mapping[str, RecipeInfo]] = MappingProxyType(
    {
        "unsupervised": RecipeInfo(
            factory="aaeframe.recipes.unsupervised:Unsupervised",
            section="section 2: reconstruction and regularization, informed by labels if there are any",
            schedules=_AUTOENCODING,
            labels="told",
        ),
        "supervised": RecipeInfo(
            factory="aaeframe.recipes.supervised:Supervised",
            section="section 4: the label goes to the decoder, the code keeps the style",
            schedules=_AUTOENCODING,
            labels="every",
            representation="with label",
        ),
        "semi-supervised": RecipeInfo(
            factory="aaeframe.recipes.semi_supervised:SemiSupervised",
            section="section 5: a class, told by few labels, and a style",
            schedules=_CLASSIFYING,
            labels="required",
            class_block=True,
        ),
        "clustering": RecipeInfo(
            factory="aaeframe.recipes.semi_supervised:SemiSupervised",
            section="section 6: clusters, and a style; no labels",
            schedules=_CLASSIFYING,
            labels="none",
            class_block=True,
        ),
        "reduction": RecipeInfo(
            factory="aaeframe.recipes.reduction:Reduction",
            section="section 7: cluster heads plus style, in few dimensions; with labels or without",
            schedules={name: (*phases, "heads") for name, phases in _CLASSIFYING.items()},
            labels="optional",
            representation="cluster heads",
            class_block=True,
        ),
        "variational": RecipeInfo(
            factory="aaeframe.recipes.variational:Variational",
            section="not in it: the variational autoencoder that the paper compares with",
            schedules={"joint": ("autoencoder",)},
            labels="none",
            adversarial=False,
        ),
    }
)
