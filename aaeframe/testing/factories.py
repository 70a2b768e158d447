"""Checks of a factory of any kind: it can be called, and its options are described."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from pydantic import ValidationError
from pydantic.errors import PydanticUserError
from pydantic_core import PydanticSerializationError, to_jsonable_python

from aaeframe.components.options import REQUIRED, Option, options_of, parse
from aaeframe.storage.problems import problems
from aaeframe.testing.case import ComponentCase, refusal, require, seeded


@seeded
def check_builds(case: ComponentCase) -> None:
    """With default options, the factory builds the component."""
    needed = needed_options(case.factory)
    require(not needed, f"the factory needs {', '.join(needed)}: give it, as in functools.partial(Factory, ...)")
    try:
        case.build()
    except Exception as error:
        raise AssertionError(f"the factory fails with default options: {type(error).__name__}: {error}") from error


@seeded
def check_serves(cases: Sequence[ComponentCase]) -> None:
    """Some cases are served; ValueError refuses the others."""
    refusals = [f"{case.label or 'a product of blocks'}: {refusal(case)}" for case in cases]
    served = any(refusal(case) is None for case in cases)
    require(served, f"the component must serve one of these cases at least: {'; '.join(refusals)}")


@seeded
def check_options(case: ComponentCase) -> None:
    """All parameters after the positional ones are keyword-only, and their defaults are usable."""
    parameters = inspect.signature(case.factory).parameters
    for parameter in list(parameters.values())[len(case.arguments()) :]:
        require(
            parameter.kind is parameter.KEYWORD_ONLY,
            f"the parameter {parameter.name} must be keyword-only: put * before the options; no *args, no **kwargs",
        )
    try:
        options = options_of(case.factory)
    except NameError as error:
        raise AssertionError(f"the annotation of an option does not exist: {error}") from error
    except TypeError as error:
        raise AssertionError(f"the options cannot be read: {error}") from error
    for option in options:
        require(
            parameters[option.name].annotation is not inspect.Parameter.empty,
            f"the option {option.name!r} must have an annotation, by which given values are checked",
        )
        if option.default is not REQUIRED:
            _check_default(option)


def needed_options(factory: Callable[..., Any]) -> list[str]:
    """The options of a factory without a default: nothing can be built without them."""
    return [str(it) for it in readable_options(factory) if it.default is REQUIRED]


def readable_options(factory: Callable[..., Any]) -> tuple[Option, ...]:
    """The options of a factory; none if they cannot be read, which `check_options` reports."""
    try:
        return options_of(factory)
    except (NameError, TypeError, ValueError):
        return ()


def _check_default(option: Option) -> None:
    """AssertionError unless the default survives JSON, in which a run stores its options, defaults included."""
    try:
        parse([option], {option.name: to_jsonable_python(option.default)})
    except PydanticSerializationError as error:
        raise AssertionError(f"the default of the option {option} cannot be stored as JSON: {error}") from error
    except PydanticUserError as error:
        raise AssertionError(f"values of the option {option} cannot be checked: {error.message}") from error
    except ValidationError as error:
        found = "; ".join(problems(error))
        raise AssertionError(f"the default of the option {option} does not fit its own type: {found}") from error
    except ValueError as error:
        raise AssertionError(f"the default of the option {option} is not a finite number") from error
