"""The components that the module of one plugin offers, or an exception that says what is wrong with it.

The module is imported, its hooks are called, and the components they return are checked. No component is imported: a
factory is looked for only where this imports nothing.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import re
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from importlib.resources import files
from importlib.util import find_spec
from operator import attrgetter
from types import ModuleType
from typing import Any, Final, Literal, get_args

import pluggy

from aaeframe.components.api_version import UNSTATED, Interface
from aaeframe.errors import PluginError
from aaeframe.hookspecs import GROUP, Component

Kind = Literal[
    "encoder", "prior", "discriminator", "network", "recipe", "data-set", "preset", "metric", "observer", "benchmark"
]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
HOOKS: Final[dict[str, Kind]] = {f"aaeframe_{kind.replace('-', '_')}s": kind for kind in KINDS}

UNSUPPORTED: Final[dict[str, str]] = {
    "specname": "name the function as the hook that it implements",
    "wrapper": "a hook returns records of its own plugin, and wraps nothing",
    "hookwrapper": "a hook returns records of its own plugin, and wraps nothing",
    "tryfirst": "there is no order among plugins, as each is called by itself",
    "trylast": "there is no order among plugins, as each is called by itself",
}
"""The options of `@hookimpl` that are refused, each with the reason or the remedy."""

COMPONENT_NAME: Final = re.compile(r"[a-z][a-z0-9-]*")
RESOURCE: Final = re.compile(r"(?!\d)\w+(\.(?!\d)\w+)*:[\w-]+(/[\w-]+)*\.toml")
"""The place of a preset: a package and the path of a file in it."""
FACTORY: Final = re.compile(r"(?!\d)\w+(\.(?!\d)\w+)*:(?!\d)\w+(\.(?!\d)\w+)*")


@dataclass(frozen=True, slots=True)
class Contents:
    """The contents of a plugin's module."""

    components: tuple[tuple[Kind, Component], ...]
    api: int
    """The plugin interface that it was written for."""
    warnings: tuple[str, ...]
    """Deprecations, each with what to do."""
    notes: tuple[str, ...] = ()
    """Optional hooks of a newer version, which are not called."""


def contents_of(entry_value: str, distribution: str, entry_name: str, interface: Interface) -> Contents:
    """Import the module that an entry point names, and collect its components and warnings.

    Raises PluginError for mistakes of the plugin, IncompatiblePlugin if it is too new or too old, and whatever the
    plugin itself raises, including SystemExit.
    """
    if ":" in entry_value:
        raise PluginError(
            f"the entry point must name a module, not an attribute: {entry_value!r}; the entry point in pyproject.toml "
            "names it"
        )
    with redirect_stdout(sys.stderr):  # prints of a plugin must not end up in the output of `--json`
        module = importlib.import_module(entry_value)
        api = getattr(module, "aaeframe_api", UNSTATED)
        outdated = interface.accept(api, distribution)
        manager, deprecated = _registered(module, f"{distribution}:{entry_name}", interface)
        notes = tuple(_check_hook_names(module, manager))
        components = tuple(_call_hooks(manager, interface))
    for kind, component in components:
        _check_component(kind, component)
    return Contents(components, api, (*outdated, *deprecated), notes)


def _registered(module: ModuleType, name: str, interface: Interface) -> tuple[pluggy.PluginManager, list[str]]:
    """The module registered with pluggy, which checks the signatures of its hooks, and the warnings of pluggy.

    Each plugin has its own manager, because a hook call of pluggy ends at the first plugin that raises.
    """
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(interface.hooks)
    _check_hook_options(module, manager)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        manager.register(module, name=name)
    return manager, [f"{it.message} (at {it.filename}:{it.lineno})" for it in caught]


def _call_hooks(manager: pluggy.PluginManager, interface: Interface) -> Iterator[tuple[Kind, Any]]:
    """Call every hook of the only plugin of the manager with the arguments it takes."""
    for hook, kind in HOOKS.items():
        caller = getattr(manager.hook, hook, None)  # None for a hook that this interface does not have
        for implementation in caller.get_hookimpls() if caller else ():
            offered = implementation.function(*(interface.arguments[it] for it in implementation.argnames))
            if not isinstance(offered, Iterable) or isinstance(offered, (str, bytes)):
                raise PluginError(f"{hook} must return Component records, not {type(offered).__name__}")
            yield from ((kind, component) for component in offered)


def _check_hook_options(module: ModuleType, manager: pluggy.PluginManager) -> None:
    """Require that `@hookimpl` has no option but `optionalhook`. The others would have no effect, or break listing."""
    for name in dir(module):
        options: Mapping[str, Any] = {**(manager.parse_hookimpl_opts(module, name) or {})}
        for option, advice in UNSUPPORTED.items():
            if options.get(option):
                raise PluginError(f"@hookimpl({option}={options[option]!r}) of {name} is not supported: {advice}")


def _check_hook_names(module: ModuleType, manager: pluggy.PluginManager) -> Iterator[str]:
    """Require that every marked function is a hook, that every hook is marked, and that there is one.

    Yields a note for each unknown hook that is marked as optional.
    """
    implemented = {caller.name: caller for caller in manager.get_hookcallers(module) or ()}
    for name, caller in implemented.items():
        if name in HOOKS:
            continue
        if not all(it.optionalhook for it in caller.get_hookimpls()):
            nearest = difflib.get_close_matches(name, HOOKS, n=1, cutoff=0.0)[0]
            raise PluginError(
                f"{name} is not a hook; did you mean {nearest}? The hooks are {', '.join(HOOKS)}. "
                "Mark a hook of a newer aaeframe by @hookimpl(optionalhook=True)"
            )
        yield f"implements {name}, which this version does not know and does not call"
    for hook in HOOKS:
        if hook not in implemented and inspect.isroutine(getattr(module, hook, None)):
            raise PluginError(f"{hook} is not marked as a hook: put @aaeframe.hookimpl above it")
    if not implemented:
        raise PluginError(f"{module.__name__} implements none of the hooks {', '.join(HOOKS)}")


def words(kind: Kind) -> str:
    """The kind as it stands in a sentence."""
    return kind.replace("-", " ")


def hook_of(kind: Kind) -> str:
    """The name of the hook that offers components of a kind."""
    return next(hook for hook, it in HOOKS.items() if it == kind)


def _check_component(kind: Kind, component: Any) -> None:
    if not isinstance(component, Component):
        raise PluginError(f"{hook_of(kind)} must return Component records; one is {type(component).__name__}")
    for field in ("name", "factory", "summary"):
        if not isinstance(getattr(component, field), str):
            raise PluginError(f"the {field} of a Component must be a string: {component}")
    if not COMPONENT_NAME.fullmatch(component.name):
        raise PluginError(
            f"{component.name!r} is not a valid component name: lower-case letters, digits, hyphens, a letter first"
        )
    if kind == "preset":
        _check_resource(component)
        return
    if not FACTORY.fullmatch(component.factory):
        raise PluginError(f"the factory of {component.name!r} must be 'module:attribute', not {component.factory!r}")
    _check_factory_exists(component)


def _check_resource(component: Component) -> None:
    """Require the place of a preset, and its file if its package is imported already."""
    if not RESOURCE.fullmatch(component.factory):
        raise PluginError(
            f"the place of the preset {component.name!r} must be 'package:path.toml', not {component.factory!r}"
        )
    package, _, path = component.factory.partition(":")
    if package in sys.modules and not (files(package) / path).is_file():
        raise PluginError(f"the preset {component.name!r} does not exist: the package {package} has no file {path}")


def _check_factory_exists(component: Component) -> None:
    """Look for the factory in loaded modules and below loaded packages, which imports nothing."""
    path, _, attribute = component.factory.partition(":")
    module = sys.modules.get(path)
    if module is not None:
        if getattr(getattr(module, "__spec__", None), "_initializing", False):
            return  # another thread is in the middle of importing it
        try:
            attrgetter(attribute)(module)
        except AttributeError as error:
            nearest = difflib.get_close_matches(attribute, vars(module), n=1)
            advice = f"; did you mean {nearest[0]}?" if nearest else ""
            raise PluginError(f"the factory of {component.name!r} does not exist: {error}{advice}") from error
        return
    parts = path.split(".")
    known = max(n for n in range(len(parts)) if n == 0 or ".".join(parts[:n]) in sys.modules)
    lowest = ".".join(parts[: known + 1])
    try:
        missing = find_spec(lowest) is None
    except ModuleNotFoundError:  # the parent is a module, not a package
        missing = True
    if missing:
        raise PluginError(f"the factory of {component.name!r} does not exist: there is no module {lowest!r}")
