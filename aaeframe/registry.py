"""Every installed plugin, healthy or not, and the components they offer by name.

    registry = Registry.load()
    registry.find("prior", "swissroll").factory()        # imported here, not before

Plugins are the entry points of the group "aaeframe". They are loaded one by one; a plugin that fails is kept with its
error and harms no other. A component has a short name, good while one distribution offers it, and a full name,
"distribution:name", good always. A clash is an error that lists the full names, never the last one winning.
"""

from __future__ import annotations

import difflib
import importlib
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterable
from contextlib import redirect_stdout
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from operator import attrgetter
from typing import Any, Literal

from aaeframe.discovery import KINDS, IncompatiblePlugin, Kind, components_of
from aaeframe.errors import AmbiguousComponent, BrokenComponent, PluginError, UnknownComponent
from aaeframe.hookspecs import GROUP, Component

__all__ = ["KINDS", "Kind", "Offer", "Plugin", "Registry", "Status"]

Status = Literal["active", "blocked", "broken", "incompatible"]


@dataclass(frozen=True, slots=True)
class Offer:
    """One component and the plugin it comes from."""

    kind: Kind
    component: Component
    distribution: str
    version: str
    plugin: str
    """The name of the plugin's entry point."""

    @property
    def name(self) -> str:
        """The short name, such as "torus"."""
        return self.component.name

    @property
    def full_name(self) -> str:
        """The name that is never ambiguous, such as "aaeframe-torus:torus"."""
        return f"{self.distribution}:{self.component.name}"

    def factory(self) -> Callable[..., Any]:
        """Import the factory. BrokenComponent if it is not there, cannot be called or fails to import."""
        module, _, attribute = self.component.factory.partition(":")
        try:
            with redirect_stdout(sys.stderr):
                factory: Callable[..., Any] = attrgetter(attribute)(importlib.import_module(module))
        except (Exception, SystemExit) as error:
            raise BrokenComponent(f"{self} cannot be loaded: {describe(error)}") from error
        if not callable(factory):
            raise BrokenComponent(f"{self} cannot be called: it is of type {type(factory).__name__}")
        return factory

    def __str__(self) -> str:
        return f"the {self.kind} {self.name!r} of {self.distribution} {self.version} ({self.component.factory})"


@dataclass(frozen=True, slots=True)
class Plugin:
    """One entry point: what it offers, or what is wrong with it."""

    name: str
    module: str
    distribution: str
    """The distribution's normalized name."""
    version: str
    status: Status
    error: str | None = None
    """`TypeName: message` of what went wrong; None for an active or a blocked plugin."""
    location: str | None = None
    """`file:line` of what went wrong, where a line of code is to blame."""
    offers: tuple[Offer, ...] = ()

    def answers_to(self, name: str) -> bool:
        """Whether the name is the plugin's distribution, entry point or module."""
        return name in (self.name, self.module) or normalized(name) == self.distribution


@dataclass(frozen=True, slots=True)
class Registry:
    """The installed plugins, as they were when `load` looked."""

    plugins: tuple[Plugin, ...]

    @classmethod
    def load(cls, blocked: Iterable[str] = ()) -> Registry:
        """Load every plugin but the blocked ones, which are not even imported.

        A name in `blocked`, or in AAEFRAME_NO_PLUGINS (separated by commas), is a distribution, an entry point or a
        module. PluginError if it matches none. With AAEFRAME_STRICT_PLUGINS=1 the first failure is raised instead
        of kept, for the plugin's author to see the traceback.
        """
        entries = sorted(map(_read, entry_points(group=GROUP)), key=lambda plugin: (plugin.distribution, plugin.name))
        blocked = [*blocked, *filter(None, map(str.strip, os.environ.get("AAEFRAME_NO_PLUGINS", "").split(",")))]
        _check_blocked(blocked, entries)
        ...
