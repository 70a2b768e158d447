"""The training step as `aaeframe train` takes it: the recipe's, and all that the loop does around it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.distributions import constraints

from aaeframe.assembly.training import prepare
from aaeframe.components.registry import Registry
from aaeframe.configuration.compose import compose
from aaeframe.configuration.resolve import resolve
from aaeframe.data import Dataset, Split
from aaeframe.protocols import DataSpec
from aaeframe.storage.run_folder import RunFolder
from aaeframe.training.cuda_graph import WARM_UP
from aaeframe.training.running_means import Sums


def training_step(
    pixels: Tensor, parts: Mapping[str, Any], precision: str, device: torch.device
) -> Callable[[], Mapping[str, Tensor]]:
    """What `Training` does at every step; `parts` are those of the configuration, `precision` is as for `train`.

    To the recipe's step it adds: taking the minibatch from the rows on the device, the watch over the losses (every
    50th step waits for the device), their sums, and setting the arithmetic. No moving average, as none is kept unless
    `ema` is set. The data is one minibatch, (N, 1, side, side) uint8, so that an order of N rows is drawn at each step,
    where a run draws one for each epoch. Ends of epochs (validation, metrics, checkpoints) are no part of it, and
    nothing is written.
    """
    settings = {**parts["training"], "batch_size": len(pixels), "precision": precision, "device": str(device)}
    registry = Registry.load()
    config = resolve(compose(None, None, {**parts, "training": settings}), registry)
    training = prepare(config, registry, _one_batch(pixels), {}, RunFolder(Path("nowhere")))
    training.sums = sums = Listening()
    training.model.train()

    def step() -> Mapping[str, Tensor]:
        training._step()
        return sums.last

    for _ in range(WARM_UP + 1 if device.type == "cuda" else 0):  # after these, every step is a replay
        step()
    return step


class Listening(Sums):
    """Sums that know the losses they were given last."""

    last: Mapping[str, Tensor]

    def add(self, losses: Mapping[str, Tensor]) -> None:
        """Add the losses of one step."""
        super().add(losses)
        self.last = losses


def _one_batch(pixels: Tensor) -> Dataset:
    """All splits are this minibatch."""
    split = Split(pixels.cpu().numpy())
    spec = DataSpec(pixels.shape[1:], constraints.unit_interval, torch.zeros(()), torch.full((), 255.0))
    return Dataset("one batch", spec, split, split, split, None, None)
