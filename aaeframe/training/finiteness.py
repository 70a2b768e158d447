"""Refuse numbers that are not finite."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from aaeframe.errors import TrainingDiverged


def check_finite(step: int, values: Mapping[str, Tensor | float]) -> None:
    """TrainingDiverged, naming the first value that is not finite, a number or an element of a tensor."""
    for name, value in values.items():
        if not bool(torch.isfinite(torch.as_tensor(value)).all()):
            raise TrainingDiverged(
                f"step {step}: {name} is not finite. Lower the learning rate (--set optimizers.<phase>.lr=...); the "
                "last checkpoint holds finite values"
            )
