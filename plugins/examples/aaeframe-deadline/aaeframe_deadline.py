"""An observer that ends a training when its time is over."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from aaeframe import Component, StopRun, hookimpl

aaeframe_api = 1

clock: Callable[[], float] = time.monotonic
"""Seconds; a test may replace it."""


@hookimpl
def aaeframe_observers() -> list[Component]:
    """The observer of this package."""
    return [Component("deadline", "aaeframe_deadline:Deadline", "ends a run, which is saved, after some minutes")]


class Deadline:
    """Ends a training at the first step after its time is over. A resumed run has the whole time again."""

    def __init__(
        self, *, minutes: Annotated[float, Field(gt=0, description="for the training, from its first step")] = 60.0
    ) -> None:
        self.minutes = minutes

    def run_started(self, config: Mapping[str, Any], folder: Path | None, steps: int, step: int) -> None:
        """Note the time."""
        self.began = clock()

    def stepped(self, step: int, losses: Mapping[str, float]) -> None:
        """Look at the clock, and at no loss, which would wait for the device."""
        if clock() - self.began > 60 * self.minutes:
            raise StopRun(f"its {self.minutes:g} minutes are over")
