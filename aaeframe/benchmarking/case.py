"""A case: one piece of work, and the alternatives that do it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch

Facts: TypeAlias = Mapping[str, float | int | str]
"""The findings of a check, by name: an error, the implementation that ran."""


class IncorrectResult(Exception):
    """The result of a timed alternative is wrong, so its time is meaningless."""


@dataclass(frozen=True)
class Added:
    """An implementation from outside this package, which joins every case of a suite."""

    name: str
    function: Callable[..., Any]
    """Called with the arguments of the suite, by position."""
    origin: str
    """Its source: "yours", or "plugin" with distribution and version."""

    def __call__(self, *arguments: Any) -> Any:
        """Call the function. IncorrectResult if it changes a tensor in place, as further calls get it as well."""
        tensors = [it for it in arguments if isinstance(it, torch.Tensor)]
        versions = [it._version for it in tensors]
        result = self.function(*arguments)
        if versions != [it._version for it in tensors]:
            raise IncorrectResult("it changes its arguments in place; compute on copies")
        return result


@dataclass(frozen=True)
class BenchSettings:
    """The settings of a suite."""

    device: torch.device
    quick: bool = False
    """Whether sizes are small, which only shows that everything runs, not how fast."""
    sizes: Mapping[str, int] = field(default_factory=dict)
    """The sizes that replace those of the suite, by the names in `Suite.sizes`."""
    added: tuple[Added, ...] = ()


@dataclass(frozen=True)
class Work:
    """The arithmetic and the memory traffic that every alternative needs."""

    flops: float
    """The operations of its matrix products, with a multiplication and an addition counted as two."""
    arithmetic: str
    """The arithmetic of the products: fp32, tf32, fp16, bf16 or int8."""
    traffic: float
    """The bytes read and written once: the inputs and the outputs."""


def nothing(result: Any) -> Facts:
    """The check of a bound without a result to check, such as a bare matrix product."""
    return {}


@dataclass(frozen=True)
class Alternative:
    """One way to do the work of a case."""

    name: str
    prepare: Callable[[], Callable[[], Any]]
    """Makes everything the work needs and returns the function to time, whose last result is checked."""
    check: Callable[[Any], Facts] = nothing
    """Raises IncorrectResult, or returns its findings."""
    work: Callable[[Any], Work] | None = None
    """The work for a result."""
    ours: bool = False
    every: int = 1
    """Measured in each `every`-th round: more than 1 for slow alternatives."""
    within: Callable[[], AbstractContextManager[Any]] = nullcontext
    """Entered around preparing, warming up and timing, but not timed. Used to force a backend."""
    unsupported_reason: str | None = None
    """The reason why it cannot run here, and what to do; None if it can."""
    origin: str | None = None
    """The source of an implementation from outside this package; None for those of the suite."""


@dataclass(frozen=True)
class Case:
    """One piece of work. The first alternative is the baseline of the ratios; without its time there are none."""

    name: str
    """A stable name with the sizes, by which stored results are compared."""
    what: str
    """A sentence: what is equal between the alternatives, and what is not."""
    unit: str
    """The unit of `amount`: pairs, rows, steps."""
    amount: float
    """The number of units in one call."""
    alternatives: tuple[Alternative, ...] = field(repr=False)
    kind: str = ""
    """The name without sizes, which is the same over a sweep."""
    sizes: Mapping[str, int] = field(default_factory=dict)
    """The sizes, by the names of their options."""


def tensor_of(value: Any, shape: tuple[int, ...], what: str) -> torch.Tensor:
    """The value if it is a floating-point tensor of this shape, else IncorrectResult. `what` names what is wanted."""
    wanted = f"{what}, a floating-point tensor of shape {shape}"
    if not isinstance(value, torch.Tensor):
        raise IncorrectResult(f"it returned {type(value).__name__}; return {wanted}")
    if tuple(value.shape) != shape or not value.is_floating_point():
        raise IncorrectResult(f"it returned {value.dtype} of shape {tuple(value.shape)}; return {wanted}")
    return value
