"""Settings, noise and rows in [0, 1] of both baselines, and the passes over rows that train them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Final

import torch
from torch import Tensor
from torch.distributions import constraints

from aaeframe.data import Dataset, Split
from aaeframe.errors import DataError, OptionError, TrainingDiverged
from aaeframe.evaluation.likelihood import Progress
from aaeframe.seeds import derive
from aaeframe.training.batches import Batches, ResidentRows
from aaeframe.training.device import pick

RESIDENT: Final = 2 * 2**30
"""Bytes up to which rows are kept whole on the device; of more, minibatches are read as they are asked for."""


@dataclass(frozen=True)
class GeneratorSettings:
    """The settings of both baselines. OptionError if a value is out of range."""

    epochs: int
    """Passes over the training rows; none leaves the networks as they begin."""
    batch_size: int
    hidden: tuple[int, ...]
    """Widths of the ReLU layers of the generator, from the noise on."""
    noise: int
    """Size of the noise, uniform in [-1, 1], from which a sample is made."""
    learning_rate: float
    """Adam's learning rate."""
    dropout: float
    """Dropout rate."""
    seed: int = 0
    device: str = "cpu"
    """As `aaeframe.training.device.pick` takes it."""

    def __post_init__(self) -> None:
        wanted = {
            "epochs, 0 or more": self.epochs >= 0,
            "batch_size, 2 or more": self.batch_size >= 2,
            "hidden, one width or more, each above 0": bool(self.hidden) and min(self.hidden) > 0,
            "noise, above 0": self.noise > 0,
            "learning_rate, above 0 and finite": 0 < self.learning_rate < math.inf,
            "dropout, in [0, 1)": 0 <= self.dropout < 1,
        }
        refused = [wish for wish, met in wanted.items() if not met]
        if refused:
            raise OptionError(f"a baseline wants {'; '.join(refused)}; found {self}")

    @property
    def place(self) -> torch.device:
        """The device itself. DeviceError if it is not there."""
        return pick(self.device)

    def as_dict(self) -> dict[str, Any]:
        """JSON-like."""
        return {**asdict(self), "hidden": list(self.hidden), "device": str(self.place)}


def draw_noise(count: int, size: int, device: torch.device) -> Tensor:
    """Uniform in [-1, 1], (count, size), from torch's global generator."""
    return 2 * torch.rand(count, size, device=device) - 1


def require_unit_interval(dataset: Dataset) -> None:
    """DataError if the rows, as a model sees them, are not in [0, 1]: the baselines' samples are."""
    if dataset.spec.support is not constraints.unit_interval:
        raise DataError(
            f"the baselines generate rows in [0, 1], as pixels are, but {dataset.name!r} holds other values and is "
            "standardized. Give it as uint8 or as numbers within [0, 1], for instance x / x.max() of x from 0 on"
        )


def as_unit(x: Tensor, dataset: Dataset) -> Tensor:
    """Rows in the user's units -> numbers in [0, 1], float32, on the device of x."""
    spec = dataset.spec
    return ((x.to(spec.mean.dtype) - spec.mean.to(x.device)) / spec.std.to(x.device)).float()


def train(
    step: Callable[[Tensor], Tensor], rows: Split, settings: GeneratorSettings, doing: str, progress: Progress
) -> None:
    """Call `step`, which returns a loss, with minibatches of rows, in an order of each epoch's own.

    A last batch that is not full is left out. TrainingDiverged if an epoch ends with a loss that is not finite: no
    later one would be, nor any sample.
    """
    order = derive(settings.seed, doing)
    batches = Batches(ResidentRows(rows, settings.place, RESIDENT), torch.arange(len(rows)), settings.batch_size, order)
    for epoch in range(settings.epochs):
        progress(doing, epoch, settings.epochs)
        for _ in range(batches.steps_per_epoch):
            loss = step(batches.next().x)
        if not math.isfinite(loss.item()):
            raise TrainingDiverged(
                f"{doing}: the loss is {loss.item()} after epoch {epoch + 1} of {settings.epochs}; lower the learning "
                f"rate, which is {settings.learning_rate}"
            )
    progress(doing, settings.epochs, settings.epochs)
