"""Losses that are not finite: noticed on the device, without a synchronization at every step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from aaeframe.errors import TrainingDiverged


class FiniteWatch:
    """Keeps the first (step, loss) that was not finite in one device tensor; `check` reads it."""

    def __init__(self, device: torch.device) -> None:
        self._first = torch.full((), -1, dtype=torch.long, device=device)
        self._names: Sequence[str] = ()

    def observe(self, step: int, losses: Mapping[str, Tensor]) -> None:
        """Look at the losses of one step; their names must be the same at every step."""
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
            f"(--set optimizers.<phase>.lr=...) or use --precision fp32; the last checkpoint holds finite weights"
        )


def check_weights(model: nn.Module, step: int) -> None:
    """TrainingDiverged if any parameter or buffer is not finite, naming the first."""
    tensors = {k: v for k, v in model.state_dict().items() if v.is_floating_point()}
    norms = torch.stack([v.detach().float().abs().amax() for v in tensors.values() if v.numel()])
    if bool(torch.isfinite(norms).all()):
        return
    name = next(k for k, v in tensors.items() if not bool(torch.isfinite(v).all()))
    raise TrainingDiverged(
        f"step {step}: the weight {name} is not finite. Lower the learning rate; the last checkpoint holds finite "
        "weights"
    )
