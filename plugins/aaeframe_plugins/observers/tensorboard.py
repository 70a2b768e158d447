"""Runs in TensorBoard."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from PIL import Image
from pydantic import Field

from aaeframe.errors import ConfigError, OptionError
from aaeframe.training.observers import Observer


class TensorBoard(Observer):
    """Losses of steps and epochs, evaluations and figures, in the subfolder `tensorboard` of the run.

    `tensorboard --logdir runs` shows all runs of a folder. A resumed run hides the values of steps that it repeats.
    """

    def __init__(
        self,
        *,
        every: Annotated[
            int, Field(ge=0, description="steps between losses of steps, each of which waits; 0: none")
        ] = 0,
    ) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise ConfigError(
                f"the observer tensorboard needs the package tensorboard ({error}); install the extra: "
                'pip install "aaeframe[tensorboard]"'
            ) from error
        self._every, self._open = every, SummaryWriter

    def run_started(self, config: Mapping[str, Any], folder: Path | None, steps: int, step: int) -> None:
        """Open a new file of events, which hides what earlier ones say of steps that will be repeated."""
        if folder is None:
            raise OptionError("the observer tensorboard writes into the folder of a run; this one is in memory")
        repeated = step + 1 if 0 < step < steps else None
        self._writer, self._step = self._open(str(folder / "tensorboard"), purge_step=repeated), step

    def stepped(self, step: int, losses: Mapping[str, float]) -> None:
        """Write the losses of every `every`-th step."""
        self._step = step
        if self._every and step % self._every == 0:
            self._scalars("step", losses.items())

    def epoch_ended(self, row: Mapping[str, Any], warnings: Sequence[str]) -> None:
        """Write the numbers of an epoch, and its warnings."""
        self._step = row["step"]
        self._scalars("epoch", numbers(row))
        for sentence in warnings:
            self._writer.add_text("warnings", sentence, self._step)
        self._writer.flush()

    def reported(self, name: str, report: Mapping[str, Any]) -> None:
        """Write the numbers of an evaluation, at the step of the weights."""
        self._step = report.get("step", self._step)
        self._scalars(name, numbers(report))

    def drawn(self, paths: Sequence[Path]) -> None:
        """Write figures as images."""
        for path in paths:
            with Image.open(path) as image:
                self._writer.add_image(path.stem, np.asarray(image.convert("RGB")), self._step, dataformats="HWC")

    def run_ended(self, finished: bool, reason: str) -> None:
        """Close the file."""
        self._writer.close()

    def _scalars(self, group: str, values: Any) -> None:
        for name, value in values:
            self._writer.add_scalar(f"{group}/{name}", value, self._step)


def numbers(table: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, float]]:
    """The numbers in a table of tables, with their paths."""
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from numbers(value, f"{above}{name}/")
        elif isinstance(value, int | float) and not isinstance(value, bool) and name not in ("step", "epoch"):
            yield f"{above}{name}", value
