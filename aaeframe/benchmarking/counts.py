"""What a step costs, counted and not timed: figures that are the same on every machine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

NO_WORK: Final = ("empty", "new_empty", "empty_like", "empty_strided", "new_empty_strided", "detach", "lift_fresh")
"""Operations that launch nothing on a device, apart from views."""


@dataclass(frozen=True)
class Counts:
    """What a call did."""

    flops: int
    """Of its matrix products, as torch counts them: a multiplication and an addition are two."""
    operations: Counter[str]
    """Operations dispatched to the device, by name: no views, no allocations."""

    @property
    def total(self) -> int:
        """How many operations were dispatched."""
        return self.operations.total()


def count(call: Callable[[], Any]) -> Counts:
    """Count what a call does. Call it once before if its first call sets things up."""
    with _Operations() as operations, FlopCounterMode(display=False) as flops:
        call()
    return Counts(flops.get_total_flops(), operations.found)


class _Operations(TorchDispatchMode):
    """Counts what passes through the dispatcher."""

    def __init__(self) -> None:
        super().__init__()
        self.found: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if func.namespace != "profiler" and not func.is_view and name not in NO_WORK:
            self.found[name] += 1
        return func(*args, **(kwargs or {}))


def adam_traffic(parameters: int) -> int:
    """Bytes that a fused float32 Adam step must move: reads parameter, gradient and two moments, writes three back."""
    return 7 * torch.float32.itemsize * parameters
