"""Data sets by name: what a source of data names, and how a run stores it. Torch-free.

A source is a name with options, as in `pinwheel(noise=0.1)`, or a path. A name takes precedence over a file of the same
name, which is `./pinwheel`.
"""

from __future__ import annotations

import re
from typing import Any, Final

from aaeframe.components.objects import PYTHON
from aaeframe.components.options import ResolvedComponent, resolve_component
from aaeframe.components.registry import Registry
from aaeframe.configuration.shorthand import parse_component, write_component

_NAME: Final = re.compile(r"(?:[\w.-]+:)?[a-z][a-z0-9-]*")


def data_sets(registry: Registry | None = None) -> dict[str, str]:
    """The names of the installed data sets, each as short as is unambiguous, with a line on each."""
    registry = registry or Registry.load()
    return {registry.shortest_name(it): it.component.summary for it in registry.offers("data-set")}


def is_full_name(source: str) -> bool:
    """Whether a source has the form of a full name, by which a run stores a data set; its paths are absolute."""
    name = source.partition("(")[0].strip()
    return ":" in name and _NAME.fullmatch(name) is not None and not source.startswith(PYTHON)


def find_data_set(source: Any, registry: Registry | None = None) -> ResolvedComponent | None:
    """The data set that a source names, with its options checked, not yet read; None for a path or an object.

    Raises AmbiguousComponent, ConfigError or OptionError for a name or options that do not fit, BrokenComponent for a
    factory that cannot be imported.
    """
    name = source.partition("(")[0].strip() if isinstance(source, str) else ""
    if not _NAME.fullmatch(name) or re.search(r"\)[^()]*[^()\s]$", source):
        return None  # such as "mnist(1).csv", which is a file
    registry = registry or Registry.load()
    if not registry.has("data-set", name):
        return None
    return resolve_component(registry.find("data-set", name), parse_component(source)["options"])


def stored_source(data_set: ResolvedComponent) -> str:
    """The source as a run stores it: the full name with every option that is not None."""
    options = {name: value for name, value in data_set.stored().items() if value is not None}
    return write_component(data_set.offer.full_name, options)
