"""Progress of a training on a terminal or in a notebook: a bar, with the numbers of the last epoch below."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from aaeframe.storage.text import plain


def summary(row: Mapping[str, Any]) -> str:
    """The numbers of an epoch on one line."""
    held_out = row.get("validation/reconstruction")
    parts = [f"rec {row['reconstruction']:.3f}" + ("" if held_out is None else f" (val {held_out:.3f})")]
    if "validation/error" in row:
        parts.append(f"error {row['validation/error']:.1%}")
    for key in row:
        phase, _, block = key.partition("/")
        if phase == "divergence":
            parts.append(f"{block}: KL {row[key]:.3f}{_mismatch(row, block)}")
        if phase == "discriminator":
            parts.append(
                f"{block}: D {row[key]:.3f} G {row[f'generator/{block}']:.3f} "
                f"acc {row[f'accuracy/{block}']:.2f}{_mismatch(row, block)}"
            )
    return "  ".join([*parts, f"{row['steps_per_second']:.0f} steps/s"])


def _mismatch(row: Mapping[str, Any], block: str) -> str:
    found = row.get(f"mismatch/{block}")
    return "" if found is None else f" mismatch {found:.3f}"


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
