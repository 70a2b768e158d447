"""Implementations from outside: those that a user names, and those that installed plugins offer."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, redirect_stdout, suppress
from operator import attrgetter
from pathlib import Path
from typing import Any, Final

from aaeframe.benchmarking import SUITES, Benchmark
from aaeframe.benchmarking.case import Added
from aaeframe.components.options import resolve_component
from aaeframe.components.registry import Registry
from aaeframe.configuration.shorthand import parse_component, write_component
from aaeframe.errors import AaeframeError, BrokenComponent, ConfigError

YOURS: Final = "yours"
"""The origin of what a user names."""
FORM: Final = "--with module:function, or the name of an installed benchmark"


@contextmanager
def importable_from_here(*, last: bool = False) -> Iterator[None]:
    """Inside, modules of the current folder can be imported: before installed ones, or after them if `last`."""
    here = str(Path.cwd())
    sys.path.insert(len(sys.path) if last else 0, here)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        with suppress(ValueError):  # the imported code may have removed it
            sys.path.remove(here)


@contextmanager
def importing_later(joined: Mapping[str, Sequence[Added]]) -> Iterator[None]:
    """Inside, functions that the user named can import modules of the current folder when they are called."""
    named = any(it.origin == YOURS for them in joined.values() for it in them)
    with importable_from_here(last=True) if named else nullcontext():
        yield


def added(
    named: Sequence[str], suites: Sequence[str], registry: Registry, warn: Callable[[str], None]
) -> Mapping[str, Sequence[Added]]:
    """The implementations that join the suites, by suite: those of all active plugins, then those that are named.

    Args:
        named: each "module:attribute", or an installed benchmark, with options in parentheses if it takes any.
        suites: the suites that are measured.
        registry: the installed plugins.
        warn: called with the reason for each implementation of a plugin that is left out.

    Raises:
        ConfigError: A name is neither, its function does not take the arguments of the suite, or the suite is unclear.
        BrokenComponent: A named benchmark of a plugin cannot be built.
    """
    found: dict[str, dict[str, Added]] = {suite: {} for suite in suites}
    for offer in registry.offers("benchmark"):
        try:
            suite, it = _offered(offer.full_name, registry)
            if suite in suites:
                check_arguments(it, suite)
                found[suite][it.name] = it
        except AaeframeError as error:
            warn(f"{offer} is left out: {error}")
    for text in named:
        suite, it = _named(text, suites, registry)
        if suite not in suites:
            raise ConfigError(f"--with {text} is of the suite {suite}, which is not measured; add --case {suite}")
        check_arguments(it, suite)
        found[suite][it.name] = it
    return {suite: list(them.values()) for suite, them in found.items()}


def _named(text: str, suites: Sequence[str], registry: Registry) -> tuple[str, Added]:
    """A named implementation and its suite."""
    if "(" in text or registry.has("benchmark", text):
        return _offered(text, registry)
    module, colon, attribute = text.partition(":")
    if not (colon and module and attribute):
        known = ", ".join(registry.shortest_name(it) for it in registry.offers("benchmark")) or "none"
        raise ConfigError(f"--with {text} is not of the form {FORM}; installed benchmarks: {known}")
    if len(suites) != 1:
        signatures = "; ".join(f"--case {name}: ({', '.join(SUITES[name].arguments)})" for name in suites)
        raise ConfigError(f"--with {text} needs one --case, as each calls it with other arguments: {signatures}")
    return suites[0], Added(text, _imported(text, module, attribute), YOURS)


def _offered(text: str, registry: Registry) -> tuple[str, Added]:
    """An implementation of a plugin and its suite."""
    parsed = parse_component(text)
    offer = registry.find("benchmark", parsed["component"])
    with redirect_stdout(sys.stderr):
        made = resolve_component(offer, parsed["options"]).build()
    if not isinstance(made, Benchmark) or made.suite not in SUITES or not callable(made.function):
        raise BrokenComponent(
            f"{offer} must be built as an aaeframe.benchmarking.Benchmark of one of the suites {', '.join(SUITES)} and "
            f"a function, not {made!r:.200}; leave it out with --no-plugin {offer.distribution}"
        )
    name = write_component(offer.full_name, parsed["options"])
    return made.suite, Added(name, made.function, f"plugin {offer.distribution} {offer.version}")


def _imported(text: str, module: str, attribute: str) -> Callable[..., Any]:
    try:
        with importable_from_here(), redirect_stdout(sys.stderr):
            found = importlib.import_module(module)
    except (Exception, SystemExit) as error:
        if isinstance(error, ModuleNotFoundError) and error.name and f"{module}.".startswith(f"{error.name}."):
            raise ConfigError(
                f"--with {text}: there is no module {error.name!r}, neither in the folder {Path.cwd()} nor installed"
            ) from error
        raise ConfigError(
            f"--with {text}: the module cannot be imported: {type(error).__name__}: {error}; see the whole error with "
            f"python -c 'import {module}'"
        ) from error
    try:
        function = attrgetter(attribute)(found)
    except AttributeError as error:
        public = ", ".join(name for name in vars(found) if not name.startswith("_") and callable(getattr(found, name)))
        raise ConfigError(
            f"--with {text}: {module} ({getattr(found, '__file__', None)}) has no {attribute!r}; "
            f"it has {public or 'nothing that can be called'}"
        ) from error
    if not callable(function):
        raise ConfigError(
            f"--with {text} is of type {type(function).__name__}, which cannot be called; give a function"
        )
    return function


def check_arguments(it: Added, suite: str) -> None:
    """ConfigError if the function cannot be called with the arguments of the suite."""
    arguments = SUITES[suite].arguments
    try:
        signature = inspect.signature(it.function)
    except (TypeError, ValueError):  # a function of C may have none
        return
    try:
        signature.bind(*arguments)
    except TypeError as error:
        raise ConfigError(
            f"{it.name}{signature} does not take the arguments of the suite {suite}, which are by position "
            f"({', '.join(arguments)}): {error}. See aaeframe/benchmarking/README.md"
        ) from error
