"""An exponential moving average of a model's weights (arXiv 1806.04498)."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Generic, TypeVar

import torch
from torch import nn

Model = TypeVar("Model", bound=nn.Module)


class MovingAverage(Generic[Model]):
    """A copy of the model whose parameters and floating-point buffers follow the original's.

    average <- d average + (1 - d) value, with d = min(decay, (t + 1) / (t + 10)) at update t. So the initial weights
    are soon forgotten. Objects in `shared` are not copied.
    """

    def __init__(self, model: Model, decay: float, shared: Iterable[object] = ()) -> None:
        self.model: Model = copy.deepcopy(model, {id(it): it for it in shared}).requires_grad_(False)
        self.decay = decay
        followed = [pair for pair in zip(_tensors(self.model), _tensors(model), strict=True) if pair[0] is not pair[1]]
        self._average, self._values = ([it.detach() for it in side] for side in zip(*followed, strict=True))
        self._copied = [
            (mine, theirs)
            for mine, theirs in zip(self.model.buffers(), model.buffers(), strict=True)
            if not (mine.is_floating_point() or mine is theirs)
        ]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Update the average after the model's step-th step, counted from 0."""
        decay = min(self.decay, (step + 1) / (step + 10))
        torch._foreach_lerp_(self._average, self._values, 1 - decay)
        for mine, theirs in self._copied:
            mine.copy_(theirs)


def _tensors(model: nn.Module) -> list[torch.Tensor]:
    return [it for it in (*model.parameters(), *model.buffers()) if it.is_floating_point()]
