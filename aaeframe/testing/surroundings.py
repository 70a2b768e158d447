"""Other surroundings for a component: a later time, another machine, other variables; and which it reads."""

from __future__ import annotations

import builtins
import datetime
import io
import os
import platform
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, chdir, contextmanager
from tempfile import TemporaryDirectory
from typing import Any, Final
from unittest.mock import patch

from aaeframe.components.options import unbound

SECONDS: Final = 400 * 86_400 + 20_601
"""The seconds by which all clocks are ahead: it is another year, month, weekday, hour and second."""
OTHERS: Final = ("AAEFRAME_", "CUDA", "CUBLAS", "KINETO", "MKL", "OMP", "PYTHON", "PYTORCH", "TORCH", "TRITON")
"""Beginnings of variables that torch, Python and this package read themselves."""
PLACES: Final = ("HF_", "HOME", "HUGGINGFACE_", "LANG", "LC_", "PATH", "TEMP", "TMP", "USERPROFILE", "XDG_")
"""Beginnings of variables that name folders and languages, of which each machine has its own."""


class _LaterTime(datetime.datetime):
    """A `datetime` whose clock is ahead."""

    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> Any:
        return super().now(tz) + datetime.timedelta(seconds=SECONDS)


class _LaterDate(datetime.date):
    """A `date` whose clock is ahead."""

    @classmethod
    def today(cls) -> Any:
        return super().today() + datetime.timedelta(seconds=SECONDS)


def _clocks() -> Iterator[tuple[Any, str, Any]]:
    """The functions that tell the time or name the machine or process: module, name, and what replaces it elsewhere."""
    for name in ("time", "monotonic", "perf_counter"):
        seconds, nanoseconds = getattr(time, name), getattr(time, f"{name}_ns")
        yield time, name, lambda read=seconds: read() + SECONDS
        yield time, f"{name}_ns", lambda read=nanoseconds: read() + SECONDS * 10**9
    now = time.time
    for name in ("localtime", "gmtime"):
        split = getattr(time, name)
        yield time, name, lambda at=None, split=split: split(now() + SECONDS if at is None else at)
    yield datetime, "datetime", _LaterTime
    yield datetime, "date", _LaterDate
    pid = os.getpid()
    yield os, "getpid", lambda: pid + 1
    yield socket, "gethostname", lambda: "elsewhere"
    yield platform, "node", lambda: "elsewhere"


@contextmanager
def elsewhere(factory: Callable[..., Any]) -> Iterator[None]:
    """Run the block at a later time and on another machine, also for names that the factory's package has imported."""
    package = str(getattr(unbound(factory), "__module__", "")).partition(".")[0]
    modules = [it for name, it in list(sys.modules.items()) if name.partition(".")[0] == package]
    with ExitStack() as stack:
        for home, name, other in list(_clocks()):
            original = getattr(home, name)
            stack.enter_context(patch.object(home, name, other))
            for module in modules:
                for own in [it for it, value in vars(module).items() if value is original]:
                    stack.enter_context(patch.object(module, own, other))
        yield


@contextmanager
def variable(name: str, value: str) -> Iterator[None]:
    """Give a variable of the environment another value inside the block, in an empty working folder.

    The component may take the value for a path and create it there.
    """
    with TemporaryDirectory() as folder, chdir(folder), patch.dict(os.environ, {name: value}):
        yield


@contextmanager
def read_variables() -> Iterator[list[str]]:
    """The list that is yielded gets the names of the variables of the environment that the block reads."""
    names: list[str] = []
    read, contains = os._Environ.__getitem__, os._Environ.__contains__

    def note(key: Any) -> None:
        if isinstance(key, str) and not key.startswith((*OTHERS, *PLACES)) and key not in names:
            names.append(key)

    def getitem(self: Any, key: Any) -> Any:
        note(key)
        return read(self, key)

    def contained(self: Any, key: Any) -> Any:
        note(key)
        return contains(self, key)

    with patch.object(os._Environ, "__getitem__", getitem), patch.object(os._Environ, "__contains__", contained):
        yield names


@contextmanager
def opened_files() -> Iterator[list[str]]:
    """The list that is yielded gets the names of the files that the block opens by `open`, but for Python's own."""
    names: list[str] = []
    original = io.open

    def opening(file: Any, *arguments: Any, **options: Any) -> Any:
        if not str(file).endswith((".py", ".pyc")):
            names.append(str(file))
        return original(file, *arguments, **options)

    with patch.object(builtins, "open", opening), patch.object(io, "open", opening):
        yield names
