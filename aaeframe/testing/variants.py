"""Options other than the defaults, within their types and bounds, with which a component is checked, too."""

from __future__ import annotations

import functools
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import ValidationError
from pydantic.errors import PydanticUserError
from pydantic_core import PydanticSerializationError

from aaeframe.components.options import Option, parse
from aaeframe.testing.factories import readable_options

DOWNLOADING: Final = ("download", "offline", "pretrained")
"""Parts of the names of options that may decide on a download. They keep their defaults."""


def variant(
    factory: Callable[..., Any], builds: Callable[[Callable[..., Any]], bool]
) -> tuple[str, Callable[..., Any]] | None:
    """The factory with every option moved away from its default that can be, and these options in words.

    A truth value is negated, a number moves to one nearby, a choice to another. Options move one after another, to the
    first value with which the factory `builds` beside those that moved before. None if no option can be moved, or if
    some are bound already by `functools.partial`: then these are what is to be checked.
    """
    if isinstance(factory, functools.partial):
        return None
    moved: dict[str, Any] = {}
    for option in readable_options(factory):
        if any(part in option.name for part in DOWNLOADING):
            continue
        for value in _fitting(option):
            if builds(functools.partial(factory, **moved, **{option.name: value})):
                moved[option.name] = value
                break
    if not moved:
        return None
    return ", ".join(f"{name}={value!r}" for name, value in moved.items()), functools.partial(factory, **moved)


def _fitting(option: Option) -> Iterator[Any]:
    """Other values of the option, within its type and bounds."""
    for value in _others(option):
        try:
            parsed: Mapping[str, Any] = parse([option], {option.name: value})
        except (ValidationError, PydanticUserError, PydanticSerializationError, TypeError, ValueError):
            continue
        yield parsed[option.name]


def _others(option: Option) -> Iterator[Any]:
    default = option.default
    if isinstance(default, bool):
        yield not default
    elif isinstance(default, int):
        yield from (default + 1, default - 1)
    elif isinstance(default, float):
        yield from (1.5 * default, 0.5 * default, default + 0.5, default - 0.5)
    elif isinstance(default, str):
        yield from (it for it in _choices(option.annotation) if it != default)


def _choices(annotation: Any) -> tuple[Any, ...]:
    if typing.get_origin(annotation) is Annotated:
        annotation = typing.get_args(annotation)[0]
    return typing.get_args(annotation) if typing.get_origin(annotation) is Literal else ()
