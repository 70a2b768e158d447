"""Arguments of `aaeframe.train`, `load` and `resume` that are objects: what is a name, and what comes from Python."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from torch import Tensor, nn

from aaeframe.components.objects import PYTHON, is_factory, name_of
from aaeframe.components.registry import Kind
from aaeframe.configuration.objects import Objects
from aaeframe.configuration.schema import ComponentConfig, Config
from aaeframe.configuration.shorthand import parse_component
from aaeframe.errors import ConfigError
from aaeframe.protocols import BlockSpec, DataSpec, Discriminator, Encoder, Network, Prior
from aaeframe.recipes import Recipe

PriorObject: TypeAlias = Prior | Callable[[int], Tensor]
"""A prior, or a function of n that returns n samples (n, *event_shape)."""
EncoderObject: TypeAlias = nn.Module | Callable[[Network, Mapping[str, BlockSpec]], Encoder]
"""A factory, or an instance that was built for the blocks of the run."""
NetworkObject: TypeAlias = Network | Callable[[DataSpec, int], Network]
"""A factory, or an instance that was built for the data and the size of the code."""
DiscriminatorObject: TypeAlias = nn.Module | Callable[[BlockSpec, int | None], Discriminator]
"""A factory, or an instance for a single block."""
RecipeObject: TypeAlias = type[Recipe] | functools.partial[Recipe]
"""A subclass of Recipe, or a partial of one with options."""

_CALLS: Mapping[Kind, str] = {
    "encoder": "a class or function f(network, blocks), or a torch.nn.Module with noise_shape",
    "network": "a class or function f(data, code_size), or an instance with encoder, decoder and num_features",
    "discriminator": "a class or function f(block, num_classes), a torch.nn.Module, or a mapping of these by block",
    "recipe": "a subclass of aaeframe.recipes.Recipe, or functools.partial of one with options",
}
_MEMBERS: Mapping[Kind, tuple[str, ...]] = {
    "encoder": ("state_dict",),
    "network": ("encoder", "decoder", "num_features"),
    "discriminator": ("state_dict",),
}


@dataclass(frozen=True)
class Parts:
    """The components that are given as arguments."""

    table: dict[str, Any]
    """A layer of the configuration, in which objects have names."""
    discriminators: Mapping[str, ComponentConfig]
    """The discriminators that are given by block."""
    objects: Objects

    def complete(self, config: Config) -> Config:
        """The configuration with the discriminators that are given by block. ConfigError for an unknown block."""
        unknown = [block for block in self.discriminators if block not in config.prior]
        if unknown:
            raise ConfigError(
                f"discriminator= names the blocks {', '.join(unknown)}, but the prior has {', '.join(config.prior)}"
            )
        own = {
            block: config.prior[block].model_copy(update={"discriminator": part})
            for block, part in self.discriminators.items()
        }
        return config.model_copy(update={"prior": {**config.prior, **own}})


def read_parts(*, prior: Any = None, discriminator: Any = None, **single: Any) -> Parts:
    """The components as names for a configuration, and the objects among them by their places.

    `single` are the arguments encoder, network and recipe. ConfigError for what cannot be a component of its kind.
    """
    objects: dict[str, Any] = {}

    def named(kind: Any, place: str, value: Any) -> Any:
        if value is None or isinstance(value, str):
            return value
        objects[place] = _checked(kind, value)
        return {"component": f"{PYTHON}{name_of(value)}"}

    def by_block(kind: Kind, given: Mapping[str, Any], suffix: str = "") -> dict[str, Any]:
        if not given:
            raise ConfigError(f"the {kind} is empty; name at least one block, or leave it out for the default")
        return {block: named(kind, f"prior.{block}{suffix}", value) for block, value in given.items()}

    table = {kind: named(kind, kind, value) for kind, value in single.items()}
    if prior is not None and not isinstance(prior, str):
        prior = by_block("prior", prior if isinstance(prior, Mapping) else {"z": prior})
    if not isinstance(discriminator, Mapping):
        table["discriminator"] = named("discriminator", "discriminator", discriminator)
        return Parts({**table, "prior": prior}, {}, objects)
    own = by_block("discriminator", discriminator, ".discriminator")
    tables = {block: parse_component(value) if isinstance(value, str) else value for block, value in own.items()}
    discriminators = {block: ComponentConfig(**value) for block, value in tables.items()}
    return Parts({**table, "prior": prior}, discriminators, objects)


def read_objects(**parts: Any) -> Objects:
    """The objects that are passed to a run again, by their places. ConfigError for a name, which the run stores."""
    names = [
        f"{kind}={value!r}"
        for kind, given in parts.items()
        for value in (given.values() if isinstance(given, Mapping) else [given])
        if isinstance(value, str)
    ]
    if names:
        raise ConfigError(
            f"{', '.join(names)} is the name of a component, which the run has stored; pass objects from Python only"
        )
    return read_parts(**parts).objects


def _checked(kind: Kind, value: Any) -> Any:
    """The object. ConfigError if it is neither a factory nor an instance of this kind; priors are checked later."""
    if kind == "prior":
        return value
    if kind == "recipe":
        made = value.func if isinstance(value, functools.partial) and not value.args else value
        fits = isinstance(made, type)
    else:
        fits = is_factory(value) or all(hasattr(value, it) for it in _MEMBERS[kind])
    if not fits:
        raise ConfigError(f"{kind}={value!r:.100} is of type {type(value).__name__}; pass a name, {_CALLS[kind]}")
    return value
