"""Refusal of settings that a run would not use, and of missing ones, before anything is built. Torch-free."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from aaeframe.components.objects import PYTHON
from aaeframe.configuration.schema import Config
from aaeframe.errors import ConfigError

if TYPE_CHECKING:
    from aaeframe.protocols import Labels, RecipeClass


def phases_of(config: Config, recipe: RecipeClass) -> tuple[str, ...]:
    """The names of the phases of a run; each has an optimizer."""
    unused = {"classification": not config.data.labels, "consistency": not config.label_free.used}
    assert config.training.schedule is not None
    known = tuple(it for it in recipe.phases[config.training.schedule] if not unused.get(it, False))
    # Whether a prior has parameters is not known before it is built: see `aaeframe.assembly.model.with_prior_phase`.
    return (*known, "prior") if "prior" in config.optimizers and recipe.needs.prior_objective else known


def refuse_unused(config: Config, recipe: RecipeClass) -> None:
    """ConfigError for what is given and would not be used, and for labels that are missing."""
    for check in (_optimizers, _weights, _labels, _classes, _adversarial, _patience):
        for problem in check(config, recipe):
            raise ConfigError(problem)


def _optimizers(config: Config, recipe: RecipeClass) -> Iterator[str]:
    phases = phases_of(config, recipe)
    for phase in config.optimizers:
        if phase not in phases:
            yield (
                f"optimizers.{phase} is not used: schedule {config.training.schedule!r} of recipe "
                f"{config.recipe.component!r} has the phases {', '.join(phases)}"
            )


def _weights(config: Config, recipe: RecipeClass) -> Iterator[str]:
    settings = config.training
    weights = {f"prior.{name}.weight": part.weight for name, part in config.prior.items()}
    weights["training.reconstruction_weight"] = settings.reconstruction_weight
    weights["training.classification_weight"] = settings.classification_weight
    given = [key for key, weight in weights.items() if weight is not None]
    if given and (settings.schedule != "joint" or not recipe.needs.adversarial):
        yield (
            f"{', '.join(given)} is not used: only schedule 'joint' of adversarial recipes weighs losses, this run's "
            f"is {settings.schedule!r} of {config.recipe.component!r}"
        )
    if settings.classification_weight is not None and not (recipe.needs.class_block and config.data.labels):
        yield (
            "training.classification_weight is not used: nothing is classified; it goes with --labels N and a recipe "
            "that has a class"
        )


_LABELS: Final[dict[Labels, Callable[[int | str], str | None]]] = {
    "told": lambda count: None,
    "optional": lambda count: None,
    "required": lambda count: None if count else "learns from labels; give --labels N, or use a recipe without",
    "every": lambda count: "uses the label of every training row; leave --labels out" if count else None,
    "none": lambda count: "uses no labels; leave --labels out" if count else None,
}


def _labels(config: Config, recipe: RecipeClass) -> Iterator[str]:
    problem = _LABELS[recipe.needs.labels](config.data.labels)
    if problem:
        yield f"the recipe {config.recipe.component!r} {problem}"
    if config.training.labeled_batch_size is not None and not config.data.labels:
        yield "training.labeled_batch_size is not used without labels; give --labels N"


def _patience(config: Config, recipe: RecipeClass) -> Iterator[str]:
    if config.training.patience is not None and recipe.needs.criterion(config.data.labels) is None:
        yield (
            f"training.patience has no criterion: recipe {config.recipe.component!r} neither reconstructs nor learns "
            "classes from labels, and adversarial losses do not tell when to stop; leave it out"
        )


def _classes(config: Config, recipe: RecipeClass) -> Iterator[str]:
    terms = config.label_free
    if terms.radius is not None and not terms.virtual_adversarial:
        yield "label_free.radius is not used without virtual adversarial training; set label_free.virtual_adversarial"
    for key in ("balance", "slack"):
        if getattr(terms, key) is not None and not terms.mutual_information:
            yield f"label_free.{key} is not used without mutual information; set label_free.mutual_information"
    given = {"label_free": terms.used, "training.class_block": config.training.class_block is not None}
    for key, is_given in given.items():
        if is_given and not recipe.needs.class_block:
            yield f"{key} is not used: recipe {config.recipe.component!r} has no class"


def _adversarial(config: Config, recipe: RecipeClass) -> Iterator[str]:
    """Problems with settings that only a discriminator uses."""
    settings = config.training
    if settings.label_smoothing and settings.loss != "bce":
        yield (
            "training.label_smoothing is not used: only the loss 'bce' has labels to smooth, this run's is "
            f"{settings.loss!r}"
        )
    given = {
        "discriminator": config.discriminator.component.startswith(PYTHON),
        "training.loss": settings.loss != "bce",
        "training.label_smoothing": bool(settings.label_smoothing),
        "training.gradient_penalty": bool(settings.gradient_penalty),
        **{f"prior.{name}.instance_noise": bool(part.instance_noise) for name, part in config.prior.items()},
        **{f"prior.{name}.softening": bool(part.softening) for name, part in config.prior.items()},
        **{f"prior.{name}.discriminator": part.discriminator is not None for name, part in config.prior.items()},
    }
    for key, is_given in given.items():
        if is_given and not recipe.needs.adversarial:
            yield f"{key} is not used: recipe {config.recipe.component!r} has no discriminators"
