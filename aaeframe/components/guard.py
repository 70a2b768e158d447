"""A guard of what all code shares, around imports of plugins; itself torch-free.

If torch is not imported yet, the guard begins when the plugin has imported it, before the plugin can change it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any


@contextmanager
def guarded_import(doing: str) -> Iterator[None]:
    """Restore what all code shares after the block; PluginWarning that begins with `doing` if it changed."""
    with ExitStack() as stack:

        def begin() -> None:
            from aaeframe.global_state import restoring  # which imports torch

            stack.enter_context(restoring(doing))

        if "torch" in sys.modules:
            begin()
        else:
            stack.enter_context(_after_import("torch", begin))
        yield


@contextmanager
def _after_import(name: str, then: Callable[[], None]) -> Iterator[None]:
    """Call `then` when the module of this name was imported inside the block."""
    finder = _Finder(name, then)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        if finder in sys.meta_path:
            sys.meta_path.remove(finder)


class _Finder(MetaPathFinder):
    """Finds one module as the others would, once, and calls a function after it was executed."""

    def __init__(self, name: str, then: Callable[[], None]) -> None:
        self._name, self._then = name, then

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """The specification of the module, or None for every other name."""
        if name != self._name:
            return None
        sys.meta_path.remove(self)
        spec = find_spec(name)
        if spec is not None and spec.loader is not None:
            loader: Any = spec.loader
            execute = loader.exec_module

            def exec_module(module: ModuleType) -> None:
                execute(module)
                self._then()

            loader.exec_module = exec_module
        return spec
