"""From a configuration to what it names: components resolved, checked, complete, and built."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aaeframe.components.options import resolve_options
from aaeframe.components.registry import InstalledComponent, Kind, Registry
from aaeframe.configuration.reading import NAMES
from aaeframe.configuration.schema import AdamConfig, BlockConfig, ComponentConfig, Config
from aaeframe.configuration.unused import PYTHON, phases_of, refuse_unused
from aaeframe.errors import BrokenComponent, ConfigError, OptionError
from aaeframe.version import __version__

if TYPE_CHECKING:
    from aaeframe.protocols import RecipeClass


def resolve(config: Config, registry: Registry) -> Config:
    """The complete configuration: full names and paths, every option, every optimizer, the plugins used.

    Raises ComponentError, OptionError or ConfigError for what is not possible, without building anything.
    """
    recipe = recipe_of(config, registry)
    if config.training.schedule is None:
        config = config.model_copy(
            update={"training": config.training.model_copy(update={"schedule": next(iter(recipe.phases))})}
        )
    refuse_unused(config, recipe)
    used = {"aaeframe": __version__}

    def whole(kind: Kind, part: ComponentConfig) -> dict[str, Any]:
        offer = registry.find(kind, part.component)
        used[offer.distribution] = offer.version
        return {"component": offer.full_name, "options": _storable(offer, part.options)}

    def block(part: BlockConfig) -> BlockConfig:
        other = part.discriminator
        prior = {} if part.component.startswith(PYTHON) else whole("prior", part)
        rival = {} if other is None else {"discriminator": ComponentConfig(**whole("discriminator", other))}
        return part.model_copy(update={**prior, **rival})

    return config.model_copy(
        update={
            "data": config.data.model_copy(update={"source": _from_anywhere(config.data.source)}),
            "prior": {name: block(part) for name, part in config.prior.items()},
            "encoder": ComponentConfig(**whole("encoder", config.encoder)),
            "network": ComponentConfig(**whole("network", config.network)),
            "discriminator": ComponentConfig(**whole("discriminator", config.discriminator)),
            "recipe": ComponentConfig(**whole("recipe", config.recipe)),
            "optimizers": {p: config.optimizers.get(p, AdamConfig(name="adam")) for p in phases_of(config, recipe)},
            "plugins": dict(sorted(used.items())),
        }
    )


def recipe_of(config: Config, registry: Registry) -> Any:
    """The class of the recipe that the configuration names. ConfigError if it does not have the schedule."""
    offer = registry.find("recipe", config.recipe.component)
    recipe: Any = offer.factory()
    missing = [name for name in ("needs", "phases", "parameters", "representation") if not hasattr(recipe, name)]
    if missing:
        raise BrokenComponent(f"{offer} has no {', '.join(missing)}; make it a subclass of aaeframe.recipes.Recipe")
    if not recipe.phases:
        raise BrokenComponent(f"{offer} has no phases; name the optimizers of each schedule in `phases`")
    schedule = config.training.schedule
    if schedule is not None and schedule not in recipe.phases:
        raise ConfigError(
            f"the recipe {config.recipe.component!r} has no schedule {schedule!r}{_near(schedule, recipe.phases)}; "
            f"there are: {', '.join(recipe.phases)}"
        )
    return recipe


def check_phases(config: Config, recipe: RecipeClass) -> None:
    """ConfigError if the stored optimizers are not exactly the phases of the recipe."""
    name, schedule = config.recipe.component, config.training.schedule
    if schedule is None:
        raise ConfigError(f"training.schedule is missing; recipe {name!r} has: {', '.join(recipe.phases)}")
    phases, given = phases_of(config, recipe), config.optimizers
    if given.keys() != set(phases):
        raise ConfigError(
            f"the optimizers are of the phases {', '.join(given) or 'none'}, where schedule {schedule!r} of recipe "
            f"{name!r} has {', '.join(phases)}; bring config.toml back to what it was, or train anew"
        )


def _from_anywhere(source: str) -> str:
    """The source as it can be found from any folder: a path from the root, a name as it is."""
    try:
        is_path = source not in NAMES and Path(source).exists()
    except OSError:  # loading the data will say what is wrong with it
        return source
    return str(Path(source).absolute()) if is_path else source


def _storable(offer: InstalledComponent, given: Mapping[str, Any]) -> dict[str, Any]:
    """Every option of the component. OptionError if one is None, which TOML cannot store, and has another default."""
    options = resolve_options(offer, given)
    for name, default in resolve_options(offer, {k: v for k, v in given.items() if v is not None}).items():
        if options[name] is None and default is not None:
            raise OptionError(f"{offer}: {name}=None cannot be stored with the run; leave it out for {default!r}")
    return options


def _near(name: str, known: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
