"""Reasons to distrust the ratios of a run: times that scatter, and a machine with other work."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from aaeframe.benchmarking.report import BenchRow

WIDEST: Final = 0.20
"""The largest distance of the quartiles of a quiet alternative, as a share of its median."""
IDLE: Final = 0.5
"""The largest load average of an idle machine all of whose cores are used."""


def scatter(rows: Sequence[BenchRow]) -> list[str]:
    """A reason if the quartiles of an alternative are far apart; it names the widest."""
    width = {row.alternative: (row.upper_quartile - row.lower_quartile) / row.seconds for row in rows if row.seconds}
    wide = [name for name, it in width.items() if it > WIDEST]
    if not wide:
        return []
    widest = max(wide, key=lambda name: width[name])
    others = f", and {len(wide) - 1} more above {WIDEST:.0%}" if len(wide) > 1 else ""
    return [f"the quartiles of {widest} are {width[widest]:.0%} of its median apart{others}"]


def other_work(start: float | None, end: float | None, threads: int, cores: int | None = None) -> list[str]:
    """A reason for each load average that leaves fewer cores than threads; none where it is unknown.

    At the end, the load includes the threads of the measurement.
    """
    cores = cores or usable_cores()
    idle = max(IDLE, cores - threads)
    return [
        f"the load average was {load:.2f} at the {when}, above {most:g}: {threads} threads on {cores} cores"
        for when, load, most in (("start", start, idle), ("end", end, threads + idle))
        if load is not None and load > most
    ]


def usable_cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def load_average() -> float | None:
    """The number of processes that ran or waited for a core in the last minute; None if it is unknown."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None
