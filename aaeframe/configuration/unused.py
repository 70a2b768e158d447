"""What a run would not use, or would lack: told before anything is built. Torch-free."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from aaeframe.components.recipes import RECIPES, Labels, RecipeInfo
from aaeframe.configuration.schema import Config
from aaeframe.errors import ConfigError

PYTHON: Final = "python:"
"""Marks, in place of a distribution, an object that was passed in from Python and cannot be rebuilt by name."""


def phases_of(config: Config, recipe: RecipeInfo) -> tuple[str, ...]:
    """The optimizers of a run."""
    unused = {"classification": not config.data.labels, "consistency": not config.label_free.used}
    assert config.training.schedule is not None
    return tuple(it for it in recipe.schedules[config.training.schedule] if not unused.get(it, False))


def refuse_unused(config: Config, recipe: RecipeInfo) -> None:
    """ConfigError for what is given and would not be used, and for labels that are missing."""
    for check in (_optimizers, _weights, _labels, _classes, _rest):
        for problem in check(config, recipe):
            raise ConfigError(problem)


def _optimizers(config: Config, recipe: RecipeInfo) -> Iterator[str]:
    phases = phases_of(config, recipe)
    for phase in config.optimizers:
        if phase not in phases:
            yield (
                f"optimizers.{phase} is not used: schedule {config.training.schedule!r} of recipe "
                f"{config.training.recipe!r} has the phases {', '.join(phases)}"
            )


def _weights(config: Config, recipe: RecipeInfo) -> Iterator[str]:
    settings = config.training
    weights = {f"prior.{name}.weight": part.weight for name, part in config.prior.items()}
    weights["training.reconstruction_weight"] = settings.reconstruction_weight
    weights["training.classification_weight"] = settings.classification_weight
    given = [key for key, weight in weights.items() if weight is not None]
    if given and (settings.schedule != "joint" or not recipe.adversarial):
        yield (
            f"{', '.join(given)} is not used: only schedule 'joint' of adversarial recipes weighs losses, this run's "
            f"is {settings.schedule!r} of {settings.recipe!r}"
        )
    if settings.classification_weight is not None and not (recipe.class_block and config.data.labels):
        yield (
            "training.classification_weight is not used: nothing is classified; it goes with labels, in recipe "
            "semi-supervised or reduction"
        )


_LABELS: Final[dict[Labels, Callable[[int], str | None]]] = {
    "told": lambda count: None,
    "optional": lambda count: None,
    "required": lambda count: None if count else "learns from labels; give --labels N, or take the recipe clustering",
    "every": lambda count: "uses the label of every training row; leave --labels out" if count else None,
    "none": lambda count: "uses no labels; leave --labels out" if count else None,
}


def _labels(config: Config, recipe: RecipeInfo) -> Iterator[str]:
    problem = _LABELS[recipe.labels](config.data.labels)
    if problem:
        yield f"the recipe {config.training.recipe!r} {problem}"
    if config.training.labeled_batch_size is not None and not config.data.labels:
        yield "training.labeled_batch_size is not used without labels; give --labels N"
    if config.data.source.startswith(PYTHON):
        if config.data.label_key is not None:
            yield f"data.label_key={config.data.label_key!r} is not used for data from Python; pass a pair (x, labels)"
        if config.data.held_out is not None:
            yield "data.held_out is not used for data from Python; pass a Dataset that is split as you want it"


def _classes(config: Config, recipe: RecipeInfo) -> Iterator[str]:
    terms = config.label_free
    if terms.radius is not None and not terms.virtual_adversarial:
        yield "label_free.radius is not used without virtual adversarial training; set label_free.virtual_adversarial"
    if terms.balance is not None and not terms.mutual_information:
        yield "label_free.balance is not used without mutual information; set label_free.mutual_information"
    if recipe.class_block:
        return
    users = ", ".join(name for name, it in RECIPES.items() if it.class_block)
    if config.label_free.used:
        yield f"label_free is not used: recipe {config.training.recipe!r} has no class; those that have: {users}"
    if config.training.class_block is not None:
        yield (
            f"training.class_block is not used: recipe {config.training.recipe!r} has no class; those that have: "
            f"{users}"
        )


def _rest(config: Config, recipe: RecipeInfo) -> Iterator[str]:
    settings = config.training
    if settings.label_smoothing and settings.loss != "bce":
        yield (
            "training.label_smoothing is not used: only the loss 'bce' has labels to smooth, this run's is "
            f"{settings.loss!r}"
        )
    if settings.head_distance is not None and recipe.representation != "cluster heads":
        yield f"training.head_distance is not used: it belongs to recipe 'reduction', not {settings.recipe!r}"
    if settings.entropy_weight and settings.recipe != "unsupervised":
        yield f"training.entropy_weight is not used: it belongs to recipe 'unsupervised', not {settings.recipe!r}"
    for key in ("likelihood", "kl_weight"):
        if getattr(settings, key) is not None and settings.recipe != "variational":
            yield f"training.{key} is not used: it belongs to recipe 'variational', this run's is {settings.recipe!r}"
    if not recipe.adversarial:
        yield from _adversarial(config)


def _adversarial(config: Config) -> Iterator[str]:
    """What only a discriminator has a use for."""
    settings = config.training
    given = {
        "training.loss": settings.loss != "bce",
        "training.label_smoothing": bool(settings.label_smoothing),
        "training.gradient_penalty": bool(settings.gradient_penalty),
        **{f"prior.{name}.instance_noise": bool(part.instance_noise) for name, part in config.prior.items()},
        **{f"prior.{name}.softening": bool(part.softening) for name, part in config.prior.items()},
        **{f"prior.{name}.discriminator": part.discriminator is not None for name, part in config.prior.items()},
    }
    for key, is_given in given.items():
        if is_given:
            yield f"{key} is not used: recipe {settings.recipe!r} has no discriminators"
