"""Whether another implementation is installed, and how to install it."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final

INSTALL: Final = 'pip install "aaeframe[benchmark]"'


def unsupported_reason(module: str) -> str | None:
    """The reason why an alternative of this module cannot be measured, and what to do; None if it can."""
    return None if find_spec(module) is not None else f"{module} is not installed: {INSTALL}"
