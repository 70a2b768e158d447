"""Adversarial autoencoders with any prior that can be sampled (Makhzani et al., arXiv 1511.05644).

    run = aaeframe.train("digits", prior="swissroll", encoder="universal")
    run = aaeframe.load("runs/...")
    run.encode(x), run.decode(code), run.reconstruct(x), run.sample(16)

Importing the package imports nothing heavy: each public name is imported on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from aaeframe.version import __version__ as __version__

if TYPE_CHECKING:
    from aaeframe import data, errors, sklearn, supports
    from aaeframe.api import resume, train
    from aaeframe.errors import StopRun
    from aaeframe.hookspecs import Component, hookimpl
    from aaeframe.runs.loading import load
    from aaeframe.runs.run import Run

__all__ = [
    "Component",
    "Run",
    "StopRun",
    "data",
    "errors",
    "hookimpl",
    "load",
    "resume",
    "sklearn",
    "supports",
    "train",
]

_HOMES = {
    "Component": "aaeframe.hookspecs",
    "Run": "aaeframe.runs.run",
    "StopRun": "aaeframe.errors",
    "hookimpl": "aaeframe.hookspecs",
    "load": "aaeframe.runs.loading",
    "resume": "aaeframe.api",
    "train": "aaeframe.api",
}
_MODULES = ("data", "errors", "sklearn", "supports")


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"aaeframe.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
