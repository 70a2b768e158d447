"""Interleaved timing: each round calls every contestant once, so that disturbances affect all of them."""

from __future__ import annotations

import gc
import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import torch

Clock: TypeAlias = Callable[[], float]

SHORTEST: Final = 0.005
"""The shortest round of a contestant in seconds: shorter calls are repeated and averaged."""


@dataclass(frozen=True)
class Contestant:
    """A callable that takes part in a comparison."""

    name: str
    call: Callable[[], Any]
    every: int = 1
    within: Callable[[], AbstractContextManager[Any]] = nullcontext


@dataclass(frozen=True)
class Timing:
    """Seconds per call, one number a round, and the result of the last call."""

    seconds: tuple[float, ...]
    result: Any

    @property
    def median(self) -> float:
        """The median of all rounds."""
        return statistics.median(self.seconds)

    @property
    def quartiles(self) -> tuple[float, float]:
        """The lower and the upper quartile; the extremes if there are fewer than four rounds."""
        if len(self.seconds) < 4:
            return min(self.seconds), max(self.seconds)
        lower, _, upper = statistics.quantiles(self.seconds, n=4, method="inclusive")
        return lower, upper


def interleave(
    contestants: Sequence[Contestant],
    *,
    rounds: int,
    device: torch.device,
    failed: dict[str, str],
    clock: Clock = time.perf_counter,
) -> dict[str, Timing]:
    """Time the contestants in turn, `rounds` times, each round beginning with another one.

    Every contestant but slow ones is called once before timing. Compilation and allocation on the first call must be
    done before. The device is synchronized inside the timed call, and Python's garbage collector is off. A contestant
    that raises in any round has no timing; `failed` gets the reason, and the others continue.
    """
    wait = synchronizer(device)
    repeats: dict[str, int] = {}
    for it in contestants:
        with attempting(it.name, failed), it.within():
            repeats[it.name] = _repeats(it, wait, clock)
    seconds: dict[str, list[float]] = {it.name: [] for it in contestants}
    results: dict[str, Any] = {}
    with _garbage_kept():
        for number in range(rounds):
            first = number % max(1, len(contestants))
            for it in [*contestants[first:], *contestants[:first]]:
                if it.name not in failed and number % it.every == 0:
                    with attempting(it.name, failed), it.within():
                        elapsed, results[it.name] = _timed(it.call, repeats[it.name], wait, clock)
                        seconds[it.name].append(elapsed)
    return {it.name: Timing(tuple(seconds[it.name]), results[it.name]) for it in contestants if it.name not in failed}


@contextmanager
def attempting(name: str, failed: dict[str, str]) -> Iterator[None]:
    """Catch an exception of the block and store its reason in `failed` under the name.

    Any exception is caught, such as a lack of memory, so that other results are not lost. Only its text is stored,
    because the exception itself would keep the memory of the call.
    """
    try:
        yield
    except Exception as error:
        failed[name] = f"{type(error).__name__}: {error}"


def synchronizer(device: torch.device) -> Callable[[], None]:
    """A function that waits until the device has finished; it does nothing on a CPU."""
    if device.type != "cuda":
        return lambda: None
    return lambda: torch.cuda.synchronize(device)


def _repeats(it: Contestant, wait: Callable[[], None], clock: Clock) -> int:
    """The number of calls in a round: one for a slow contestant, otherwise from the time of one call."""
    if it.every > 1:
        return 1
    seconds, _ = _timed(it.call, 1, wait, clock)
    return max(1, math.ceil(SHORTEST / seconds)) if seconds > 0 else 1


def _timed(call: Callable[[], Any], repeats: int, wait: Callable[[], None], clock: Clock) -> tuple[float, Any]:
    """Seconds per call, and the last result."""
    wait()
    start = clock()
    for _ in range(repeats):
        result = call()
    wait()
    return (clock() - start) / repeats, result


@contextmanager
def _garbage_kept() -> Iterator[None]:
    gc.collect()
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
