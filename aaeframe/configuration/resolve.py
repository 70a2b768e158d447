"""Resolve a configuration once: from names to factories and checked options, complete, with nothing built."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aaeframe.components.objects import PYTHON, ObjectComponent, resolve_object, storable
from aaeframe.components.options import ResolvedComponent, resolve_component
from aaeframe.components.registry import Kind, Registry
from aaeframe.components.requirements import obstacles
from aaeframe.configuration.data_sets import find_data_set, stored_source
from aaeframe.configuration.objects import NONE, Objects, check_objects, copied, role
from aaeframe.configuration.optimizers import optimizer
from aaeframe.configuration.schema import BlockConfig, ComponentConfig, Config
from aaeframe.configuration.shorthand import parse_component, write_component
from aaeframe.configuration.unused import phases_of, refuse_unused
from aaeframe.errors import BrokenComponent, CheckpointError, ConfigError, OptionError, UnknownComponent
from aaeframe.version import __version__

if TYPE_CHECKING:
    from aaeframe.protocols import RecipeClass


@dataclass(frozen=True)
class ResolvedRun:
    """A complete configuration, and the components that it names, ready to be built."""

    config: Config
    """With full names and paths, every option and every optimizer: what is stored."""
    priors: Mapping[str, ResolvedComponent]
    """The prior of each block."""
    encoder: ResolvedComponent
    network: ResolvedComponent
    discriminators: Mapping[str, ResolvedComponent]
    """The discriminator of each block."""
    recipe: ResolvedComponent
    """Its factory is a class of recipes."""
    versions: Mapping[str, str]
    """The installed distributions that it uses, by name."""

    @property
    def recipe_class(self) -> RecipeClass:
        """The class of the recipe."""
        return _recipe_class(self.recipe)


def resolve(config: Config, registry: Registry, objects: Objects = NONE) -> ResolvedRun:
    """Resolve the configuration of a new run. `objects` are those from Python that it refers to.

    Instances are copied here, once: the run trains the copy. Raises ComponentError, OptionError or ConfigError for what
    is not possible, without building anything.
    """
    data_set = find_data_set(config.data.source, registry)
    source = _from_anywhere(config.data.source) if data_set is None else stored_source(data_set)
    data = config.data.model_copy(update={"source": source})
    metrics = [_metric(registry, text) for text in config.evaluation.metrics]
    evaluation = config.evaluation.model_copy(update={"metrics": tuple(map(_given, metrics))})
    observers = {
        name: resolve_component(registry.find("observer", part.component), part.options)
        for name, part in config.observers.items()
    }
    followed = {name: _stored(it) for name, it in observers.items()}
    _refuse_twins(followed)
    stored = config.model_copy(update={"data": data, "evaluation": evaluation, "observers": followed})
    others = [*metrics, *observers.values(), *([] if data_set is None else [data_set])]
    return _resolved(stored, registry, objects, others)


def _metric(registry: Registry, text: str) -> ResolvedComponent:
    parsed = parse_component(text)
    return resolve_component(registry.find("metric", parsed["component"]), parsed["options"])


def _given(metric: ResolvedComponent) -> str:
    """The full name with the options that were given."""
    stored = metric.stored()
    return write_component(metric.offer.full_name, {name: stored[name] for name in metric.given})


def _resolved(config: Config, registry: Registry, objects: Objects, others: Sequence[ResolvedComponent]) -> ResolvedRun:
    """Resolve the components of the model. `others` are components that the run uses besides."""
    check_objects(config, objects)
    objects = copied(objects)

    def component(kind: Kind, place: str, part: ComponentConfig) -> ResolvedComponent:
        if part.component.startswith(PYTHON):
            return resolve_object(ObjectComponent.of(kind, role(place), objects[place]), part.options)
        return resolve_component(registry.find(kind, part.component), part.options)

    recipe = _without_partial(component("recipe", "recipe", config.recipe))
    config = _with_schedule(config, recipe)
    refuse_unused(config, _recipe_class(recipe))
    priors = {name: component("prior", f"prior.{name}", part) for name, part in config.prior.items()}
    own = {
        name: component("discriminator", f"prior.{name}.discriminator", part.discriminator)
        for name, part in config.prior.items()
        if part.discriminator is not None
    }
    shared = component("discriminator", "discriminator", config.discriminator)
    encoder = component("encoder", "encoder", config.encoder)
    network = component("network", "network", config.network)
    used = [it.offer for it in (*priors.values(), *own.values(), shared, encoder, network, recipe, *others)]
    installed = {it.distribution: it.version for it in used if not isinstance(it, ObjectComponent)}
    versions = dict(sorted({"aaeframe": __version__, **installed}.items()))

    def block(name: str, part: BlockConfig) -> BlockConfig:
        other = {"discriminator": _stored(own[name])} if name in own else {}
        return part.model_copy(update={**_stored(priors[name]).model_dump(), **other})

    complete = config.model_copy(
        update={
            "prior": {name: block(name, part) for name, part in config.prior.items()},
            "encoder": _stored(encoder),
            "network": _stored(network),
            "discriminator": _stored(shared),
            "recipe": _stored(recipe),
            "optimizers": {
                phase: config.optimizers.get(phase, optimizer({})) for phase in phases_of(config, _recipe_class(recipe))
            },
            "plugins": versions,
        }
    )
    discriminators = {name: own.get(name, shared) for name in config.prior}
    return ResolvedRun(complete, priors, encoder, network, discriminators, recipe, versions)


def resolve_stored(config: Config, registry: Registry, objects: Objects = NONE) -> ResolvedRun:
    """Resolve the configuration of an existing run, which keeps the versions of plugins that it was made with.

    Its data are looked for when they are loaded, because a model works without them. Its observers stay as they are
    stored: one that is no longer installed does not keep a run from being used.

    Raises as `resolve` does. Raises CheckpointError, which says what to install, for an unknown component. Raises
    ConfigError if its schedule or an optimizer was removed from it.
    """
    try:
        resolved = _resolved(config, registry, objects, [])
    except UnknownComponent as error:
        known = obstacles(config.plugins, registry)
        asked, *more = str(error).split("\n  ")
        details = known or [*more, "pip install the plugin that offers it"]
        raise CheckpointError("\n  ".join([f"this run needs what is not here: {asked}", *details])) from error
    phases, given = resolved.config.optimizers, config.optimizers
    name, schedule = config.recipe.component, config.training.schedule
    if schedule is None:
        raise ConfigError(
            f"training.schedule is missing; recipe {name!r} has: {', '.join(resolved.recipe_class.phases)}"
        )
    if given.keys() != phases.keys():
        raise ConfigError(
            f"the optimizers are of the phases {', '.join(given) or 'none'}, where schedule {schedule!r} of recipe "
            f"{name!r} has {', '.join(phases)}; bring config.toml back to what it was, or train anew"
        )
    return replace(resolved, config=resolved.config.model_copy(update={"plugins": config.plugins}))


def _without_partial(recipe: ResolvedComponent) -> ResolvedComponent:
    """The recipe with its class as the factory; what a `functools.partial` of it adds is among the options."""
    return replace(recipe, factory=recipe.factory.func) if isinstance(recipe.factory, partial) else recipe


def _recipe_class(recipe: ResolvedComponent) -> RecipeClass:
    """The class of a recipe. BrokenComponent if it is not one."""
    found: Any = recipe.factory
    missing = [it for it in ("needs", "phases", "parameters", "representation") if not hasattr(found, it)]
    if missing:
        raise BrokenComponent(
            f"{recipe.offer} has no {', '.join(missing)}; make it a subclass of aaeframe.recipes.Recipe"
        )
    if not found.phases:
        raise BrokenComponent(f"{recipe.offer} has no phases; name the optimizers of each schedule in `phases`")
    known: RecipeClass = found
    return known


def _with_schedule(config: Config, recipe: ResolvedComponent) -> Config:
    """The configuration with the recipe's first schedule if it names none. ConfigError if the recipe lacks its own."""
    phases = _recipe_class(recipe).phases
    schedule = config.training.schedule
    if schedule is None:
        training = config.training.model_copy(update={"schedule": next(iter(phases))})
        return config.model_copy(update={"training": training})
    if schedule not in phases:
        near = difflib.get_close_matches(schedule, phases, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ConfigError(
            f"the recipe {config.recipe.component!r} has no schedule {schedule!r}{hint}; there are: {', '.join(phases)}"
        )
    return config


def _refuse_twins(observers: Mapping[str, ComponentConfig]) -> None:
    """ConfigError for two observers that are the same: each would write what the other writes, into one file."""
    for (name, one), (other, two) in combinations(observers.items(), 2):
        if one == two:
            raise ConfigError(
                f"the observers {name!r} and {other!r} are both {write_component(one.component, one.options)}; leave "
                "one out, or give it other options"
            )


def _from_anywhere(source: str) -> str:
    """The path as it can be found from any folder, from the root; what is no path as it is."""
    try:
        is_path = source != "" and Path(source).exists()
    except OSError:  # loading the data will say what is wrong with it
        return source
    return str(Path(source).absolute()) if is_path else source


def _stored(part: ResolvedComponent) -> ComponentConfig:
    """The component as it is stored. OptionError if an option is None and has another default: TOML has no None."""
    if isinstance(part.offer, ObjectComponent):
        return ComponentConfig(component=part.offer.full_name, options=storable(part))
    options = part.stored()
    nones = [name for name, value in part.given.items() if value is None]
    defaults = resolve_component(part.offer, {k: v for k, v in part.given.items() if k not in nones}).options
    for name in nones:
        if defaults[name] is not None:
            raise OptionError(
                f"{part.offer}: {name}=None cannot be stored with the run; leave it out for {defaults[name]!r}"
            )
    return ComponentConfig(component=part.offer.full_name, options=options)
