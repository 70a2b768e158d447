"""Turns the findings of pydantic into sentences: the place, what is wrong there, and what was found."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from pydantic import ValidationError

Place: TypeAlias = tuple[int | str, ...]
"""The keys and positions that lead to a value."""

_NO_TABLE: Final = ("model_type", "dict_type", "model_attributes_type")


def dotted(place: Place) -> str:
    """A place as in training.epochs."""
    return ".".join(map(str, place))


def problems(error: ValidationError, place: Callable[[Place], str] = dotted) -> list[str]:
    """A sentence for each finding, after its place."""
    return [
        f"{place(it['loc'])}: {sentence(it)}".removeprefix(": ")  # the whole table has no place
        for it in error.errors(include_url=False)
    ]


def sentence(problem: Mapping[str, Any]) -> str:
    """The reason why a value is refused."""
    kind = problem["type"]
    if kind == "value_error":
        return str(problem["ctx"]["error"])
    if kind == "missing":
        return "is missing"
    if kind == "tuple_type":
        return f"must be a list, as in [a, b], found {reprlib.repr(problem['input'])}"
    if kind == "union_tag_invalid":
        return f"there is no {reprlib.repr(problem['ctx']['tag'])}; there are {problem['ctx']['expected_tags']}"
    must = "must be a table" if kind in _NO_TABLE else problem["msg"].removeprefix("Input ")
    return f"{must}, found {reprlib.repr(problem['input'])}"
