"""Detect numbers that are not finite. Losses are checked on the device, without synchronizing at every step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from aaeframe.errors import TrainingDiverged


class FiniteCheck:
    """Keeps the first (step, loss) that was not finite in a device tensor; `check` reads it."""

    def __init__(self, device: torch.device) -> None:
        self._first = torch.full((), -1, dtype=torch.long, device=device)
        self._names: Sequence[str] = ()

    def observe(self, step: int, losses: Mapping[str, Tensor]) -> None:
        """Record the losses of one step; their names must be the same at every step."""
        self._names = list(losses)
        bad = ~torch.isfinite(torch.stack([loss.float() for loss in losses.values()]))
        here = step * len(self._names) + bad.int().argmax()
        self._first = torch.where((self._first < 0) & bad.any(), here, self._first)

    def check(self) -> None:
        """TrainingDiverged, naming step, phase and block, if a loss was not finite."""
        first = int(self._first)
        if first < 0:
            return
        step, name = divmod(first, len(self._names))
        phase, _, block = self._names[name].partition("/")
        where = f"the {phase} phase" + (f", block {block!r}" if block else "")
        raise TrainingDiverged(
            f"step {step}: the loss of {where} is not finite. Lower the learning rate "
            f"(--set optimizers.<phase>.lr=...) or use --precision fp32; the last checkpoint holds finite values"
        )


def check_finite(step: int, values: Mapping[str, Tensor | float]) -> None:
    """TrainingDiverged, naming the first value that is not finite, a number or an element of a tensor."""
    for name, value in values.items():
        if not bool(torch.isfinite(torch.as_tensor(value)).all()):
            raise TrainingDiverged(
                f"step {step}: {name} is not finite. Lower the learning rate (--set optimizers.<phase>.lr=...); the "
                "last checkpoint holds finite values"
            )
