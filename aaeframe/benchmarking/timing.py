"""Interleaved timing: each round calls every contestant once, so that disturbances affect all of them.

The clock is that of the host, which waits for the device. On a GPU, calls below a millisecond are timed by events on
the device, each with a cold L2 cache: the host's clock would time launches, and repeated calls would read the cache.
"""

from __future__ import annotations

import gc
import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias

import torch

Clock: TypeAlias = Callable[[], float]

SHORTEST: Final = 0.005
"""The shortest round of a contestant in seconds: shorter calls are repeated and averaged."""
SHORT: Final = 0.001
"""Seconds of a call on a GPU below which its case is timed by events."""
QUANTILES: Final = (0.2, 0.8)
"""The quantiles of a plot, next to the median."""


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
    rounds: tuple[int, ...]
    """The number of the round of each time."""
    clock: str = "host"
    """The name of the stopwatch."""

    @property
    def median(self) -> float:
        """The median of all rounds."""
        return statistics.median(self.seconds)

    @property
    def quartiles(self) -> tuple[float, float]:
        """The lower and the upper quartile; the extremes if there are fewer than four rounds."""
        return self.quantile(0.25), self.quantile(0.75)

    def quantile(self, share: float) -> float:
        """The time that this share of the rounds is below; an extreme if there are fewer than four rounds."""
        if len(self.seconds) < 4:
            return min(self.seconds) if share < 0.5 else max(self.seconds)
        return statistics.quantiles(self.seconds, n=100, method="inclusive")[round(100 * share) - 1]

    def ratio_to(self, baseline: Timing) -> float | None:
        """The median over the common rounds of the ratio of both times; None if they have no round in common."""
        theirs = dict(zip(baseline.rounds, baseline.seconds, strict=True))
        pairs = zip(self.rounds, self.seconds, strict=True)
        ratios = [seconds / theirs[it] for it, seconds in pairs if theirs.get(it, 0) > 0]
        return statistics.median(ratios) if ratios else None


class Stopwatch(Protocol):
    """A way to time calls."""

    name: str

    def timed(self, call: Callable[[], Any], repeats: int) -> tuple[float, Any]:
        """Seconds per call, and the last result."""
        ...


class HostClock:
    """The host's clock, read when the device has finished."""

    name = "host"

    def __init__(self, wait: Callable[[], None], clock: Clock = time.perf_counter) -> None:
        self._wait, self._clock = wait, clock

    def timed(self, call: Callable[[], Any], repeats: int) -> tuple[float, Any]:
        """Seconds per call, and the last result."""
        self._wait()
        start = self._clock()
        for _ in range(repeats):
            result = call()
        self._wait()
        return (self._clock() - start) / repeats, result


class ColdEvents:
    """Events of the device around each call, and a cache that is flushed before each call."""

    name = "CUDA events, cold L2"

    def __init__(self, flush: Callable[[], Any], event: Callable[[], Any], wait: Callable[[], None]) -> None:
        """`event` makes one with `record()` and `elapsed_time(other)` in milliseconds, as `torch.cuda.Event`."""
        self._flush, self._event, self._wait = flush, event, wait

    @classmethod
    def on(cls, device: torch.device) -> ColdEvents:
        """The stopwatch of a CUDA device. To flush, a buffer of twice its L2 cache is written."""
        size = 2 * torch.cuda.get_device_properties(device).L2_cache_size
        buffer = torch.empty(size, dtype=torch.uint8, device=device)
        return cls(buffer.zero_, lambda: torch.cuda.Event(enable_timing=True), synchronizer(device))

    def timed(self, call: Callable[[], Any], repeats: int) -> tuple[float, Any]:
        """Seconds per call, and the last result."""
        pairs = []
        for _ in range(repeats):
            self._flush()
            begin, end = self._event(), self._event()
            begin.record()
            result = call()
            end.record()
            pairs.append((begin, end))
        self._wait()
        return sum(begin.elapsed_time(end) for begin, end in pairs) / 1000 / repeats, result


def stopwatch(device: torch.device, shortest: float, host: HostClock) -> Stopwatch:
    """The stopwatch of a case whose shortest call takes so many seconds. All contestants are timed by the same."""
    return ColdEvents.on(device) if device.type == "cuda" and shortest < SHORT else host


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
    host = HostClock(synchronizer(device), clock)
    once: dict[str, float] = {}
    for it in contestants:
        if it.every == 1:
            with attempting(it.name, failed), it.within():
                once[it.name], _ = host.timed(it.call, 1)
    unprepared: dict[str, str] = {}
    with attempting("stopwatch", unprepared):  # it needs memory of the device
        watch = stopwatch(device, min(once.values(), default=math.inf), host)
    if unprepared:
        failed.update({it.name: f"no stopwatch: {unprepared['stopwatch']}" for it in contestants} | failed)
        return {}
    seconds: dict[str, dict[int, float]] = {it.name: {} for it in contestants}
    results: dict[str, Any] = {}
    with _garbage_kept():
        for number in range(rounds):
            first = number % max(1, len(contestants))
            for it in [*contestants[first:], *contestants[:first]]:
                if it.name not in failed and number % it.every == 0:
                    with attempting(it.name, failed), it.within():
                        repeats = _repeats(once.get(it.name))
                        seconds[it.name][number], results[it.name] = watch.timed(it.call, repeats)
    return {
        it.name: Timing(tuple(seconds[it.name].values()), results[it.name], tuple(seconds[it.name]), clock=watch.name)
        for it in contestants
        if it.name not in failed
    }


@contextmanager
def attempting(name: str, failed: dict[str, str]) -> Iterator[None]:
    """Catch an exception of the block and store its reason in `failed` under the name.

    Any exception is caught, such as a lack of memory, so that other results are not lost. Only its text is stored,
    because the exception itself would keep the memory of the call.
    """
    try:
        yield
    except (Exception, SystemExit) as error:  # SystemExit: an implementation from elsewhere, written as a script
        failed[name] = f"{type(error).__name__}: {error}"


def synchronizer(device: torch.device) -> Callable[[], None]:
    """A function that waits until the device has finished; it does nothing on a CPU."""
    if device.type != "cuda":
        return lambda: None
    return lambda: torch.cuda.synchronize(device)


def _repeats(once: float | None) -> int:
    """The number of calls in a round, from the seconds of one call; one for a slow contestant, which has none."""
    return max(1, math.ceil(SHORTEST / once)) if once else 1


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
