"""Progress of long work: a bar on a terminal, lines elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from aaeframe.cli.console import err
from aaeframe.runs.progress import Bar as Bar
from aaeframe.runs.progress import summary
from aaeframe.storage.text import plain


class Lines:
    """One line for each epoch."""

    def __init__(self, console: Console, epochs: int, steps: int) -> None:
        self._console, self._epochs, self._steps = console, epochs, steps

    def stepped(self, epoch: int, step: int) -> None:
        """Nothing: a line is printed at the end of the epoch."""

    def epoch_ended(self, row: Mapping[str, Any], warnings: list[str]) -> None:
        """Print the numbers and warnings of the epoch."""
        left = (self._steps - row["step"]) / row["steps_per_second"] if row["steps_per_second"] else 0.0
        line = f"epoch {row['epoch']}/{self._epochs}  {summary(row)}  {_duration(left)} left"
        self._console.print(plain(line), markup=False)
        for sentence in warnings:
            self._console.print(plain(f"warning: epoch {row['epoch']}: {sentence}"), markup=False)

    def close(self) -> None:
        """Nothing to close."""


@contextmanager
def samples_shown() -> Iterator[Callable[[str, int, int], None]]:
    """Inside, show the progress of a likelihood estimate: a bar for each pass, or a line at its end."""
    console = err()
    progress = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("samples"),
        TextColumn("time left"), TimeRemainingColumn(), console=console, disable=not console.is_terminal,
    )  # fmt: skip
    tasks: dict[str, TaskID] = {}

    def show(doing: str, done: int, of: int) -> None:
        if doing not in tasks:
            tasks[doing] = progress.add_task(doing, total=of)
        progress.update(tasks[doing], completed=done)
        if done == of and not console.is_terminal:
            console.print(f"{doing}: {of} samples", markup=False)

    with progress:
        yield show


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"
