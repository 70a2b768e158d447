"""The losses of the steps: kept on the device without waiting, read from time to time, added up and checked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

import torch
from torch import Tensor

from aaeframe import processes
from aaeframe.errors import BrokenComponent, TrainingDiverged

EVERY: Final = 50
"""The largest number of steps whose losses wait on the device."""


class LossLog:
    """The sums of each loss over steps, and a check that all are finite.

    `add` is one operation on the device; it copies the losses, and waits for nothing. `collect` reads what has been
    added, and waits for the device. Sums are in float64, in the order of the steps.
    """

    def __init__(self) -> None:
        self.count = 0
        self._sums: dict[str, float] = {}
        self._names: Sequence[str] = ()
        self._kept = torch.empty(0)
        self._steps: list[int] = []
        self._failure: TrainingDiverged | None = None

    def add(self, step: int, losses: Mapping[str, Tensor]) -> None:
        """Add the losses of one step, scalars by name. BrokenComponent for a loss of another shape."""
        if len(self._steps) == EVERY or tuple(losses) != self._names:
            self.collect()
            self._begin(losses)
        with torch.no_grad():
            torch.stack([*losses.values()], out=self._kept[len(self._steps)])
        self._steps.append(step)
        self.count += 1

    def collect(self, *, alone: bool = False) -> None:
        """Read and add the losses of the last steps, the means over all processes, or of this one `alone`.

        TrainingDiverged, here and in every later call, if one was not finite; it names the first. If a loss is not
        finite in one process, the mean is not.
        """
        if self._failure is not None:
            raise self._failure
        if not self._steps:
            return
        kept = self._kept[: len(self._steps)]
        rows = (kept if alone else _mean_of_all(kept)).tolist()
        steps, self._steps = self._steps, []
        for step, row in zip(steps, rows, strict=True):
            for name, loss in zip(self._names, row, strict=True):
                if not math.isfinite(loss):
                    self._failure = _diverged(step, name)
                    raise self._failure if alone else processes.raised_by_all(self._failure)
                self._sums[name] = self._sums.get(name, 0.0) + loss

    def _begin(self, losses: Mapping[str, Tensor]) -> None:
        """Make room for the losses of steps that have these names."""
        for name, loss in losses.items():
            if loss.dim():
                raise BrokenComponent(
                    f"the recipe gives the loss {name!r} of shape {tuple(loss.shape)}; return a scalar"
                )
        self._names = tuple(losses)
        device = next(iter(losses.values())).device
        self._kept = torch.empty(EVERY, len(losses), dtype=torch.float64, device=device)

    def means(self) -> dict[str, float]:
        """The means so far."""
        self.collect()
        return {name: total / self.count for name, total in self._sums.items()}

    def state_dict(self) -> dict[str, Tensor]:
        """The sums, as float64 scalars."""
        self.collect()
        return {name: torch.tensor(total, dtype=torch.float64) for name, total in self._sums.items()}

    def load_state_dict(self, state: Mapping[str, Tensor], count: int) -> None:
        """Restore saved sums over `count` steps. ValueError if one is not a number."""
        if any(total.dim() for total in state.values()):
            raise ValueError("a sum of losses is not a number")
        self._sums = {name: float(total) for name, total in state.items()}
        self.count = count


def _mean_of_all(kept: Tensor) -> Tensor:
    """The mean over all processes.

    It is added in the order of the processes: the order of an all-reduce depends on an element's place in the tensor,
    and a run that was stopped and resumed reads its losses in other parts.
    """
    every = processes.gathered(kept.unsqueeze(0))
    return torch.as_tensor(sum(every.unbind())) / len(every)


def _diverged(step: int, name: str) -> TrainingDiverged:
    phase, _, block = name.partition("/")
    where = f"the {phase} phase" + (f", block {block!r}" if block else "")
    return TrainingDiverged(
        f"step {step}: the loss of {where} is not finite. Lower the learning rate "
        f"(--set optimizers.<phase>.lr=...) or use --precision fp32; the last checkpoint holds finite values"
    )
