"""Progress of long work: a bar on a terminal, lines elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from aaeframe.cli.console import err, plain


def summary(row: Mapping[str, Any]) -> str:
    """The numbers of an epoch on one line."""
    parts = [f"rec {row['reconstruction']:.3f} (val {row['validation/reconstruction']:.3f})"]
    if "validation/error" in row:
        parts.append(f"error {row['validation/error']:.1%}")
    for key in row:
        phase, _, block = key.partition("/")
        if phase == "divergence":
            parts.append(f"{block}: KL {row[key]:.3f} mismatch {row[f'mismatch/{block}']:.3f}")
        if phase == "discriminator":
            parts.append(
                f"{block}: D {row[key]:.3f} G {row[f'generator/{block}']:.3f} "
                f"acc {row[f'accuracy/{block}']:.2f} mismatch {row[f'mismatch/{block}']:.3f}"
            )
    return "  ".join([*parts, f"{row['steps_per_second']:.0f} steps/s"])


class Bar:
    """A bar over all steps, with the numbers of the last epoch below."""

    def __init__(self, console: Console, epochs: int, steps: int) -> None:
        self._epochs = epochs
        self._progress = Progress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("time left"),
            TimeRemainingColumn(),
        )
        self._task = self._progress.add_task("", total=steps, epoch=f"0/{epochs}")
        self._numbers = Text(style="dim", no_wrap=False, overflow="fold")
        self._live = Live(Group(self._progress, self._numbers), console=console)
        self._live.start()

    def stepped(self, epoch: int, step: int) -> None:
        """Move the bar."""
        self._progress.update(self._task, completed=step, epoch=f"{epoch + 1}/{self._epochs}")

    def epoch_ended(self, row: Mapping[str, Any], warnings: list[str]) -> None:
        """Show the numbers of the epoch. Warnings stay above the bar."""
        self._numbers.plain = plain(summary(row))
        for sentence in warnings:
            self._live.console.print(Text.assemble(("warning:", "yellow"), plain(f" epoch {row['epoch']}: {sentence}")))

    def close(self) -> None:
        """Stop updating the bar."""
        self._live.stop()


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
