"""The training step of `aaeframe train`: the recipe's step, and all work of the loop around it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
from aaeframe.training.cuda_graph import WARM_UP
from aaeframe.training.loss_log import LossLog


def training_step(
    pixels: Tensor, parts: Mapping[str, Any], precision: str, device: torch.device
) -> Callable[[], Mapping[str, Tensor]]:
    """The whole of a step of `Training`; `parts` are those of the configuration, `precision` is as for `train`.

    It adds to the recipe's step: reading the minibatch on the device, the sums and the check of the losses, and setting
    the arithmetic. The check waits for the device at every 50th step. There is no moving average, which is off by
    default. The data is one minibatch, (N, 1, side, side) uint8. So an order of N rows is drawn at each step, while a
    run draws one for each epoch. The end of an epoch (validation, metrics, checkpoints) is not included, and nothing is
    written.
    """
    settings = {**parts["training"], "batch_size": len(pixels), "precision": precision, "device": str(device)}
    resolved = resolve(compose(None, None, {**parts, "training": settings}), Registry.load())
    training = prepare(resolved, _one_batch(pixels))
    training.losses = log = Listening()
    training.model.train()

    def step() -> Mapping[str, Tensor]:
        training._step()
        return log.last

    for _ in range(WARM_UP + 1 if device.type == "cuda" else 0):  # from then on, every step is a replay
        step()
    return step


class Listening(LossLog):
    """A log that keeps the losses of the last step."""

    last: Mapping[str, Tensor]

    def add(self, step: int, losses: Mapping[str, Tensor]) -> None:
        """Add the losses of one step."""
        super().add(step, losses)
        self.last = losses


def _one_batch(pixels: Tensor) -> Dataset:
    """A data set whose splits are all this minibatch."""
    split = Split(pixels.cpu().numpy())
    spec = DataSpec(pixels.shape[1:], constraints.unit_interval, torch.zeros(()), torch.full((), 255.0))
    return Dataset("one batch", spec, split, split, split, None, None)
