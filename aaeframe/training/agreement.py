"""Agreement of several processes about when to stop: all of them at the same step, asked about once a second."""

from __future__ import annotations

import time
from typing import Final

from aaeframe import processes

SECONDS: Final = 1.0
"""The time from one agreement to the next. If steps become slower, the next one takes longer."""


class StopAgreement:
    """The strongest request to stop of all processes, known in each of them at the same step.

    The first process measures how many steps a second takes. That many steps have no exchange.
    """

    def __init__(self) -> None:
        self._next, self._wait = 0, 1
        self._step, self._clock = 0, time.monotonic()

    def __call__(self, step: int, asked: int, *, now: bool = False) -> int:
        """The request after this step, 0 for none; between two agreements 0, unless it is to be known `now`."""
        if processes.size() == 1:
            return asked
        if step < self._next and not now:
            return 0
        strongest, self._wait = processes.agree(asked, self._steps_to_wait(step))
        self._next = step + self._wait
        return strongest

    def _steps_to_wait(self, step: int) -> int:
        """The steps that take a second, but at most twice those of the last time; 0 unless in the first process."""
        if not processes.is_first():
            return 0
        clock = time.monotonic()
        seconds = (clock - self._clock) / max(1, step - self._step)
        self._step, self._clock = step, clock
        return max(1, min(2 * self._wait, int(SECONDS / seconds) if seconds else 1))
