"""Options of components that are paths: by their type, or by their text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any, Final

from pydantic import TypeAdapter
from pydantic.errors import PydanticUserError

from aaeframe.components.options import REQUIRED, Option, options_for, storable_value
from aaeframe.components.registry import Kind, Registry

_FORMATS: Final = ("path", "file-path", "directory-path")
"""The formats of paths in a JSON schema."""


def schema_of(registry: Registry, kind: Kind, name: str) -> tuple[Option, ...]:
    """The options of a component; none if it is not installed, and cannot be built either."""
    return options_for(registry.find(kind, name)) if registry.has(kind, name) else ()


def paths_in(given: Mapping[str, Any], schema: Iterable[Option]) -> dict[str, Any]:
    """The given options, JSON-like, that are paths by the schema, or texts that begin at the root or a home folder."""
    typed = {it.name for it in schema if it.name in given and _takes_path(it.annotation)}
    return {name: it for name, it in given.items() if it is not None and (name in typed or any(_path_texts(it)))}


def own_paths(found: Mapping[str, Any], schema: Iterable[Option]) -> set[str]:
    """The names of those options whose value is the default: a file of the plugin itself."""
    defaults = {it.name: it.default for it in schema if it.name in found and it.default is not REQUIRED}
    return {name for name, default in defaults.items() if storable_value(default) == found[name]}


def _takes_path(annotation: Any) -> bool:
    """Whether values of this type are paths, or have some inside; true for a type that cannot be described."""
    try:
        return any(it.get("format") in _FORMATS for it in _tables(TypeAdapter(annotation).json_schema()))
    except PydanticUserError:
        return True


def _tables(value: Any) -> Iterator[Mapping[str, Any]]:
    """A JSON-like value, and all tables inside it."""
    if isinstance(value, Mapping):
        yield value
    for inner in value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ():
        yield from _tables(inner)


def _path_texts(value: Any) -> Iterator[str]:
    """The texts inside a JSON-like value that are paths whatever their type."""
    if isinstance(value, str) and _is_path(value):
        yield value
    for inner in value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ():
        yield from _path_texts(inner)


def _is_path(text: str) -> bool:
    """Whether a text begins at the root or a home folder, or leaves a folder; "/" alone may be a separator."""
    first, *more = re.split(r"[/\\]", text)
    if not any((first, *more)):
        return False
    rooted = PurePosixPath(text).is_absolute() or PureWindowsPath(text).is_absolute()
    return rooted or (bool(more) and (first.startswith("~") or ".." in (first, *more)))
