"""Components that are objects from Python: factories and instances, which no file can name. Torch-free."""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from aaeframe.components.options import ResolvedComponent, is_json, resolve_component, unbound
from aaeframe.components.registry import InstalledComponent, Kind
from aaeframe.errors import ConfigError
from aaeframe.hookspecs import Component

PYTHON: Final = "python:"
"""Marks, in place of a distribution, an object that was passed in from Python and cannot be rebuilt by name."""


def is_factory(value: object) -> bool:
    """Whether the value is called to make a part: a class, a function or a `functools.partial`, but no module."""
    return isinstance(value, type) or (callable(value) and not hasattr(value, "state_dict"))


def name_of(value: Any) -> str:
    """The name of a factory or of the class of an instance, as a configuration stores it."""
    value = unbound(value)
    named = value if isinstance(value, type) or inspect.isroutine(value) else type(value)
    return str(named.__name__).strip("<>")  # a lambda is called <lambda>


@dataclass(frozen=True, slots=True)
class ObjectComponent(InstalledComponent):
    """A factory from Python, or an instance as the factory that gives it."""

    role: str = ""
    """Its part of the model in words, such as "the discriminator of block 'z'"."""
    value: Any = None

    @classmethod
    def of(cls, kind: Kind, role: str, value: Any) -> ObjectComponent:
        """The component of an object."""
        return cls(kind, Component(name_of(value), "", ""), PYTHON.removesuffix(":"), "", "", role, value)

    @property
    def is_instance(self) -> bool:
        """Whether the object is the part itself, and not its factory. A prior always is."""
        return self.kind == "prior" or not is_factory(self.value)

    def factory(self) -> Callable[..., Any]:
        """The factory; of an instance a function that gives it."""
        value: Callable[..., Any] = (lambda *run: self.value) if self.is_instance else self.value
        return value

    def __str__(self) -> str:
        return f"{self.role} ({self.name}, from Python)"


def resolve_object(offer: ObjectComponent, recorded: Mapping[str, Any]) -> ResolvedComponent:
    """The component, ready to be built; keywords of a `functools.partial` are its options.

    `recorded` has the options that an existing run was made with. ConfigError if they are others.
    """
    factory = offer.factory()
    keywords = factory.keywords if isinstance(factory, functools.partial) else {}
    checked = resolve_component(offer, {name: value for name, value in keywords.items() if is_json(value)})
    resolved = replace(checked, options={**checked.options, **keywords})  # as the factory would get them from Python
    options = storable(resolved)
    other = {name: value for name, value in recorded.items() if name not in options or options[name] != value}
    if other:
        asked = ", ".join(f"{name}={value!r}" for name, value in other.items())
        found = ", ".join(f"{name}={options[name]!r}" for name in other if name in options) or "no such option"
        raise ConfigError(
            f"{offer} was trained with {asked}, but has {found}; pass it as functools.partial({offer.name}, {asked})"
        )
    return resolved


def storable(resolved: ResolvedComponent) -> dict[str, Any]:
    """The options of an object that TOML can hold, which tell readers what a run was made with."""
    plain = {name: value for name, value in resolved.options.items() if value is not None and is_json(value)}
    return {name: json.loads(json.dumps(value)) for name, value in plain.items()}
