"""Running means of a step's losses, summed on the device so that no step waits."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


class Sums:
    """Running sums of a step's losses, on the device, so that no step waits for it."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self.count = 0

    def add(self, losses: Mapping[str, Tensor]) -> None:
        """Add the losses of one step."""
        for name, loss in losses.items():
            value = loss.double()
            self._sums[name] = self._sums[name] + value if name in self._sums else value
        self.count += 1

    def means(self) -> dict[str, float]:
        """The means so far. Waits for the device."""
        return {name: float(total) / self.count for name, total in self._sums.items()}

    def state_dict(self) -> dict[str, Tensor]:
        """The sums, as float64 scalars on the CPU."""
        return {name: total.cpu() for name, total in self._sums.items()}

    def load_state_dict(self, state: Mapping[str, Tensor], count: int, device: torch.device) -> None:
        """Restore saved sums over `count` steps."""
        self._sums = {name: total.to(device) for name, total in state.items()}
        self.count = count
