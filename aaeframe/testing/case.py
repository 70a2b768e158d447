"""The parts of a check: a requirement with a message, a fixed seed, and a case to build."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, ParamSpec, TypeVar

import torch
from torch import Tensor

from aaeframe.errors import AaeframeError
from aaeframe.global_state import guarded
from aaeframe.protocols import SupportsRestoring

FALSE_ALARM: Final = 1e-5
"""The probability with which a statistical check rejects a correct component."""

USES: Final = 3
"""The number of calls before the state of a component is saved: what changes with use must be saved, too."""

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class ComponentCase:
    """A factory and the arguments with which it is checked."""

    factory: Callable[..., Any]
    """The component's factory; `functools.partial` binds options other than the defaults."""
    label: str = ""
    """A name that distinguishes this case from the component's others; empty if it is the only one."""

    def arguments(self) -> tuple[Any, ...]:
        """The positional arguments of the factory: none, except for kinds that are built for a model."""
        return ()

    def build(self) -> Any:
        """A new component in every call."""
        return self.factory(*self.arguments())


REFUSALS: Final = (ValueError, AaeframeError)
"""The errors with which a component refuses what it does not serve."""


def instances(case: ComponentCase, state: Mapping[str, Tensor]) -> Iterator[tuple[str, Any]]:
    """Instances to load this state into, each with its origin in words: from the factory, and by its `from_state`."""
    yield "a second instance", case.build()
    factory: Any = case.factory
    options: dict[str, Any] = {}
    while isinstance(factory, functools.partial):
        factory, options = factory.func, {**factory.keywords, **options}
    if isinstance(factory, SupportsRestoring):
        yield "an instance by from_state", factory.from_state(state, *case.arguments(), **options)


def refusal(case: ComponentCase) -> str | None:
    """The reason why a component does not serve a case; None if it does, or fails in another way."""
    try:
        with torch.random.fork_rng(devices=[]), guarded():
            case.build()
    except REFUSALS as error:
        return str(error)
    except Exception:  # which the check "builds" reports
        return None
    return None


def require(condition: bool, message: str) -> None:
    """AssertionError with the message unless the condition holds; under `python -O`, too, unlike `assert`."""
    if not condition:
        raise AssertionError(message)


@contextmanager
def fixed_seed(seed: int) -> Iterator[None]:
    """Draw the random numbers of this seed inside the block, and restore torch's generator of the CPU."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


def seeded(check: Callable[P, R]) -> Callable[P, R]:
    """Let a check draw the same random numbers in every run, and restore the caller's generator.

    AssertionError if the component changed the state that all code shares, such as the default dtype. It is restored.
    """

    @functools.wraps(check)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        with fixed_seed(0):
            with guarded() as changed:
                result = check(*args, **kwargs)
            require(
                not changed, f"the component must leave what all code shares as it is, and changed {', '.join(changed)}"
            )
            return result

    return run
