"""All installed plugins, working or not, and their components by name.

    registry = Registry.load()
    registry.find("prior", "swissroll").factory()        # imported here, not before

Plugins are the entry points of the group "aaeframe". Each is loaded on its own: one that fails is kept with its error
and does not affect the others. A component has a full name, "distribution:name", and a short name. A short name that
several distributions offer is an error, which lists the full names.
"""

from __future__ import annotations

import difflib
import importlib
import os
import re
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext, redirect_stdout
from dataclasses import dataclass, replace
from importlib.metadata import Distribution, EntryPoint, entry_points
from importlib.resources import files
from operator import attrgetter
from threading import RLock
from typing import Any, Final, Literal

from aaeframe.components.api_version import CURRENT, IncompatiblePlugin, Interface
from aaeframe.components.discovery import KINDS, Kind, contents_of, words
from aaeframe.components.guard import guarded_import
from aaeframe.errors import AmbiguousComponent, BrokenComponent, PluginError, UnknownComponent
from aaeframe.hookspecs import GROUP, Component

__all__ = ["KINDS", "InstalledComponent", "Kind", "Plugin", "Registry", "Status"]

Status = Literal["active", "blocked", "broken", "incompatible"]

IMPORTING: Final = RLock()
"""Held while a plugin is imported, as the guard and the redirected standard output are of the whole process."""

OWN: Final = "aaeframe"
"""The distribution of this package. Its plugins are not guarded: a guard takes milliseconds at each load."""


@dataclass(frozen=True, slots=True)
class InstalledComponent:
    """A component and its plugin."""

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
        """The unambiguous name, such as "aaeframe-torus:torus"."""
        return f"{self.distribution}:{self.component.name}"

    def factory(self) -> Callable[..., Any]:
        """Import the factory. BrokenComponent if it does not exist, cannot be called or fails to import.

        The factory of a preset reads its file.
        """
        if self.kind == "preset":
            return self._text
        module, _, attribute = self.component.factory.partition(":")
        try:
            if module not in sys.modules:  # to guard what was imported already would take milliseconds each time
                with IMPORTING, redirect_stdout(sys.stderr), guarded_import(f"importing {self}"):
                    importlib.import_module(module)
            # Another thread may be in the middle of importing it: this waits, without the lock, which that may need.
            factory: Callable[..., Any] = attrgetter(attribute)(importlib.import_module(module))
        except (Exception, SystemExit) as error:
            where = self.component.factory
            raise BrokenComponent(f"{self} cannot be loaded from {where}: {_described(error)}") from error
        if not callable(factory):
            raise BrokenComponent(f"{self} cannot be called: it is of type {type(factory).__name__}")
        return factory

    def _text(self) -> str:
        """The TOML of the preset."""
        package, _, path = self.component.factory.partition(":")
        try:
            with IMPORTING, redirect_stdout(sys.stderr):
                return (files(package) / path).read_text("utf-8")
        except (Exception, SystemExit) as error:
            where = self.component.factory
            raise BrokenComponent(f"{self} cannot be read from {where}: {_described(error)}") from error

    def __str__(self) -> str:
        return f"the {words(self.kind)} {self.name!r} of {self.distribution} {self.version}"


@dataclass(frozen=True, slots=True)
class Plugin:
    """One entry point with its components, or with its error."""

    name: str
    module: str
    distribution: str
    """The distribution's normalized name."""
    version: str
    status: Status
    error: str | None = None
    """The error as `TypeName: message`; None for an active or a blocked plugin."""
    location: str | None = None
    """The error's place as `file:line`, if a line of code raised it."""
    offers: tuple[InstalledComponent, ...] = ()
    api: int | None = None
    """The plugin interface that an active plugin was written for."""
    warnings: tuple[str, ...] = ()
    """Deprecations in an active plugin, each with what to do."""
    notes: tuple[str, ...] = ()
    """Hooks of an active plugin that this version does not know."""

    @property
    def state(self) -> str:
        """The status; for a plugin that is not active with its reason and place."""
        where = f" (at {self.location})" if self.location else ""
        why = "" if self.status == "active" else f": {self.error or 'not loaded, on request'}"
        return f"{self.status}{why}{where}"

    def answers_to(self, name: str) -> bool:
        """Whether the name is the plugin's distribution, entry point or module."""
        return name in (self.name, self.module) or normalized(name) == self.distribution

    def __str__(self) -> str:
        state = self.status if self.error is None else f"{self.status}: {self.error}"
        return f"{self.distribution} {self.version}, entry point {self.name} ({state})"


@dataclass(frozen=True, slots=True)
class Registry:
    """The installed plugins at the time of `load`."""

    plugins: tuple[Plugin, ...]

    @classmethod
    def load(cls, blocked: Iterable[str] = (), *, interface: Interface = CURRENT) -> Registry:
        """Load every plugin except the blocked ones, which are not imported.

        A name in `blocked`, or in AAEFRAME_NO_PLUGINS (separated by commas), is a distribution, an entry
        point or a module; PluginError if it matches none. With AAEFRAME_STRICT_PLUGINS=1 the first failure is
        raised instead of stored, so that the author of a plugin sees the traceback.
        """
        strict = os.environ.get("AAEFRAME_STRICT_PLUGINS") == "1"
        installed = sorted(_installed(entry_points(group=GROUP)), key=lambda it: (it.distribution, it.name))
        blocked = _blocked_names(blocked, installed)
        plugins: list[Plugin] = []
        for plugin in installed:
            if any(plugin.answers_to(name) for name in blocked):
                plugins.append(replace(plugin, status="blocked"))
            else:
                taken = [offer for other in plugins for offer in other.offers]
                plugins.append(_load(plugin, interface, taken=taken, strict=strict))
        return cls(tuple(plugins))

    def offers(self, kind: Kind | None = None) -> tuple[InstalledComponent, ...]:
        """The components of one kind, or of all kinds, by distribution and entry point."""
        return tuple(it for plugin in self.plugins for it in plugin.offers if kind in (None, it.kind))

    def find(self, kind: Kind, name: str) -> InstalledComponent:
        """The component of this kind by its short or full name.

        Raises UnknownComponent, which lists similar and known names and the inactive plugins, which may offer it; and
        AmbiguousComponent, which lists the full names, if several plugins offer the short name.
        """
        matches = self._matches(kind, name)
        if not matches:
            raise UnknownComponent(self._unknown(kind, name))
        if len(matches) > 1:
            names = ", ".join(it.full_name for it in matches)
            raise AmbiguousComponent(f"{name!r} names the {words(kind)} of several plugins: {names}; use a full name")
        return matches[0]

    def has(self, kind: Kind, name: str) -> bool:
        """Whether a component of this kind has this short or full name."""
        return bool(self._matches(kind, name))

    def find_all(self, name: str) -> tuple[InstalledComponent, ...]:
        """The components of this name, at most one of each kind. Raises as `find` does."""
        kinds = [kind for kind in KINDS if self._matches(kind, name)]
        if not kinds:
            raise UnknownComponent(self._unknown(None, name))
        return tuple(self.find(kind, name) for kind in kinds)

    def shortest_name(self, offer: InstalledComponent) -> str:
        """The short name if only one distribution offers it for this kind, else the full name."""
        return offer.name if len(self._matches(offer.kind, offer.name)) == 1 else offer.full_name

    def _matches(self, kind: Kind, name: str) -> list[InstalledComponent]:
        distribution, colon, short = name.rpartition(":")
        wanted = f"{normalized(distribution)}{colon}{short}"
        return [it for it in self.offers(kind) if wanted in (it.name, it.full_name)]

    def _unknown(self, kind: Kind | None, name: str) -> str:
        distribution = normalized(name.rpartition(":")[0])
        missing = distribution and not any(it.distribution == distribution for it in self.plugins)
        known = sorted({self.shortest_name(it) for it in self.offers(kind)})
        nearest = difflib.get_close_matches(name, [*known, *(it.full_name for it in self.offers(kind))], n=1)
        others = [other for other in KINDS if kind and self._matches(other, name)]
        inactive = [str(plugin) for plugin in self.plugins if plugin.status != "active"]
        asked = words(kind) if kind else "component"
        lines = [
            f"no active plugin offers a {asked} named {name!r}",
            f"no distribution {distribution!r} with plugins is installed" if missing else "",
            f"did you mean {nearest[0]!r}?" if nearest else "",
            f"{name!r} is the name of another kind of component: {', '.join(map(words, others))}" if others else "",
            f"known {asked}s: {', '.join(known) or 'none'}",
            f"it may be in a plugin that is not active: {'; '.join(inactive)}" if inactive else "",
            "see `aaeframe plugins list`",
        ]
        return "\n  ".join(filter(None, lines))


def normalized(distribution: str) -> str:
    """The canonical spelling of a distribution's name (PEP 503)."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


def _installed(entries: Iterable[EntryPoint]) -> Iterator[Plugin]:
    """The records of entry points before they are loaded."""
    about: dict[Distribution | None, tuple[str, str]] = {None: ("unknown", "unknown")}
    for entry in entries:
        if entry.dist is not None and entry.dist not in about:
            metadata = entry.dist.metadata  # each access parses the file
            about[entry.dist] = metadata["Name"], metadata["Version"]
        name, version = about[entry.dist]
        yield Plugin(entry.name, entry.value.strip(), normalized(name), version, "active")


def _blocked_names(blocked: Iterable[str], installed: Sequence[Plugin]) -> tuple[str, ...]:
    """The names to block, including those of the environment. Each must match an installed plugin."""
    from_environment = (name.strip() for name in os.environ.get("AAEFRAME_NO_PLUGINS", "").split(","))
    given = (blocked,) if isinstance(blocked, str) else blocked
    names = tuple(filter(None, (*given, *from_environment)))
    for name in names:
        if not any(plugin.answers_to(name) for plugin in installed):
            known = ", ".join(f"{it.distribution} (entry point {it.name}, module {it.module})" for it in installed)
            raise PluginError(
                f"cannot block {name!r}: no plugin has this distribution, entry point or module"
                f"\n  installed: {known or 'none'}"
            )
    return names


def _load(plugin: Plugin, interface: Interface, taken: Sequence[InstalledComponent], strict: bool) -> Plugin:
    """Load one plugin. A failure becomes its status and error. `taken` are the components of other plugins."""
    doing = f"loading the plugin {plugin.distribution} {plugin.version}"
    try:
        with IMPORTING, nullcontext() if plugin.distribution == OWN else guarded_import(doing):
            found = contents_of(plugin.module, plugin.distribution, plugin.name, interface)
        offers = tuple(
            InstalledComponent(*it, plugin.distribution, plugin.version, plugin.name) for it in found.components
        )
        _check_unique([*taken, *offers], plugin.distribution)
    except (Exception, SystemExit) as error:  # SystemExit: a plugin written as a script
        if strict:
            raise
        status: Status = "incompatible" if isinstance(error, IncompatiblePlugin) else "broken"
        return replace(plugin, status=status, error=_described(error), location=location(error))
    return replace(plugin, offers=offers, api=found.api, warnings=found.warnings, notes=found.notes)


def _check_unique(offers: Iterable[InstalledComponent], distribution: str) -> None:
    times = Counter((it.kind, it.name) for it in offers if it.distribution == distribution)
    for (kind, name), count in times.items():
        if count > 1:
            raise PluginError(
                f"{distribution} offers the {words(kind)} {name!r} more than once; give each its own name"
            )


def _described(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def location(error: BaseException) -> str | None:
    """`file:line` of the innermost frame outside the import system, pluggy and aaeframe."""
    own = {"importlib", "pluggy", "aaeframe"}
    places = [
        f"{frame.f_code.co_filename}:{line}"
        for frame, line in traceback.walk_tb(error.__traceback__)
        if not frame.f_code.co_filename.startswith("<frozen")
        and str(frame.f_globals.get("__name__")).partition(".")[0] not in own
    ]
    return places[-1] if places else None
