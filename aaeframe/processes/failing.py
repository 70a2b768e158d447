"""Work that fails in every process if it fails in one."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TypeVar

from aaeframe import errors
from aaeframe.errors import AaeframeError, ProcessError
from aaeframe.processes.collective import text_of_first, texts
from aaeframe.processes.group import is_first, raised_by_all, rank, size

Result = TypeVar("Result")


def together(function: Callable[[], Result]) -> Result:
    """Run a function in every process. If it fails in any, all raise the error of the first that failed."""
    if size() == 1:
        return function()
    results: list[Result] = []
    failure = _attempt(lambda: results.append(function()))
    found = texts(_written(failure))
    failed = {number: text for number, text in enumerate(found) if text}
    if failed:
        number, text = next(iter(failed.items()))
        _raise(number, text, failure, alike=len(failed) == size() and len(set(found)) == 1)
    return results[0]


def first(function: Callable[[], Result]) -> Result:
    """Run a function in the first process alone; its result, JSON-like, or its error is that of all processes."""
    if size() == 1:
        return function()
    results: list[Result] = []
    failure = _attempt(lambda: results.append(function())) if is_first() else None
    mine = json.dumps({"failure": _written(failure), "result": results[0] if results else None}) if is_first() else ""
    heard = json.loads(text_of_first(mine))
    if heard["failure"]:
        _raise(0, heard["failure"], failure, alike=True)
    if not is_first():
        results.append(heard["result"])
    return results[0]


def _attempt(function: Callable[[], None]) -> Exception | None:
    try:
        function()
    except Exception as error:
        return error
    return None


def _written(failure: Exception | None) -> str:
    return "" if failure is None else json.dumps([type(failure).__name__, str(failure)])


def _raise(number: int, written: str, mine: Exception | None, *, alike: bool) -> None:
    """Raise the error of process `number`; its own exception there, if the framework does not know it."""
    name, text = json.loads(written)
    kind = _kind(name)
    if number == rank() and mine is not None and (alike or kind is None):
        raise raised_by_all(mine)
    if kind is None:
        raise raised_by_all(ProcessError(f"process {number} of {size()} failed: {name}: {text}")) from mine
    raise raised_by_all(kind(text if alike else f"process {number} of {size()}: {text}")) from mine


def _kind(name: str) -> type[AaeframeError] | None:
    """The class of this name among our errors, or the one above it if that takes more than a message."""
    kind = getattr(errors, name, None)
    if not (isinstance(kind, type) and issubclass(kind, AaeframeError)):
        return None
    return next(it for it in kind.__mro__ if issubclass(it, AaeframeError) and "__init__" not in vars(it))
