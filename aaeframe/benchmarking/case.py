"""A case: one piece of work, and the alternatives that do it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch

Facts: TypeAlias = Mapping[str, float | int | str]
"""What a check found, by name: an error, the path that ran."""


class IncorrectResult(Exception):
    """An alternative was timed and its result is wrong: its time means nothing."""


@dataclass(frozen=True)
class Settings:
    """Where to measure, and whether sizes are small: then the figures show that everything runs, not how fast."""

    device: torch.device
    quick: bool = False


@dataclass(frozen=True)
class Work:
    """The arithmetic and the memory traffic that an alternative cannot do without."""

    flops: float
    """Operations of its matrix products; a multiplication and an addition are two."""
    arithmetic: str
    """What they are done in: fp32, tf32, fp16, bf16 or int8."""
    traffic: float
    """Bytes read and written once: the inputs and the outputs."""


def nothing(result: Any) -> Facts:
    """The check of a bound that answers no question, such as a bare matrix product."""
    return {}


@dataclass(frozen=True)
class Alternative:
    """One way to do the work of a case."""

    name: str
    prepare: Callable[[], Callable[[], Any]]
    """Makes everything the work needs and returns what is timed; what that returns last is checked."""
    check: Callable[[Any], Facts] = nothing
    """Raises IncorrectResult, or tells what it found."""
    work: Callable[[Any], Work] | None = None
    """The work behind a result."""
    ours: bool = False
    every: int = 1
    """Takes part in every `every`-th round: more than 1 for what is slow."""
    within: Callable[[], AbstractContextManager[Any]] = nullcontext
    """Entered around preparing, warming and timing, not timed: how a path is forced."""
    obstacle: str | None = None
    """Why it cannot run here, and what to do; None if it can."""


@dataclass(frozen=True)
class Case:
    """One piece of work; the first alternative is the baseline of the ratios: without its time there are none."""

    name: str
    """Stable, with the sizes: stored results are compared by it."""
    what: str
    """A sentence: what is equal between the alternatives, and what is not."""
    unit: str
    """What `amount` counts: pairs, rows, steps."""
    amount: float
    """How much of it one call does."""
    alternatives: tuple[Alternative, ...] = field(repr=False)
