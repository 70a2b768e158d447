"""Adversarial autoencoders with any prior that can be sampled (Makhzani et al., arXiv 1511.05644).

    run = aaeframe.train("digits", prior="swissroll", encoder="universal")
    run = aaeframe.load("runs/...")
    run.encode(x), run.decode(code), run.reconstruct(x), run.sample(16)

Importing the package imports no torch; `train` and `load` do when first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aaeframe.hookspecs import Component, hookimpl

if TYPE_CHECKING:
    from aaeframe.api import train
    from aaeframe.run import Run, load

__version__ = "0.1.0"
__all__ = ["Component", "Run", "hookimpl", "load", "train"]

_LAZY = {"train": "aaeframe.api", "load": "aaeframe.run", "Run": "aaeframe.run"}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LAZY[name]), name)
