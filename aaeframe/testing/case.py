"""The parts of a check: a requirement with a message, a fixed seed, and a case to build."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final, ParamSpec, Protocol, TypeVar

import torch

from aaeframe.global_state import guarded

FALSE_ALARM: Final = 1e-5
"""The probability with which a statistical check rejects a correct component."""

P = ParamSpec("P")
R = TypeVar("R")


class ComponentCase(Protocol):
    """A factory and the arguments with which it is checked."""

    @property
    def factory(self) -> Callable[..., Any]:
        """The component's factory; `functools.partial` binds options other than the defaults."""

    @property
    def label(self) -> str:
        """A name that distinguishes this case from the component's others; empty if it is the only one."""

    def arguments(self) -> tuple[Any, ...]:
        """The positional arguments of the factory."""

    def build(self) -> Any:
        """A new component from the factory, in every call."""


def require(condition: bool, message: str) -> None:
    """AssertionError with the message unless the condition holds; unlike `assert`, also under `python -O`."""
    if not condition:
        raise AssertionError(message)


def seeded(check: Callable[P, R]) -> Callable[P, R]:
    """Let a check draw the same random numbers in every run, and restore the caller's generator.

    AssertionError if the component changed a state that all code shares, which is restored.
    """

    @functools.wraps(check)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(0)
            with guarded() as changed:
                result = check(*args, **kwargs)
            require(
                not changed, f"the component must leave what all code shares as it is, and changed {', '.join(changed)}"
            )
            return result

    return run
