"""Reasons to distrust the ratios of a run: times that scatter, and a machine with other work."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final

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


def company(load: float | None, threads: int, cores: int | None = None) -> list[str]:
    """A reason if the load average at the start leaves fewer cores than threads; none if it is unknown."""
    cores = cores or os.cpu_count() or 1
    idle = max(IDLE, cores - threads)
    if load is None or load <= idle:
        return []
    return [f"the load average was {load:.2f} at the start, above {idle:g}: {threads} threads on {cores} cores"]
