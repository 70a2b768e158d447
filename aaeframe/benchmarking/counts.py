"""The cost of a step, counted instead of timed: numbers that are the same on every machine."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from aaeframe_kernels.dispatch import launches

NO_WORK: Final = ("empty", "new_empty", "empty_like", "empty_strided", "new_empty_strided", "detach", "lift_fresh")
"""Operations that launch nothing on a device, apart from views."""


@dataclass(frozen=True)
class Counts:
    """The counts of a call."""

    flops: int
    """The operations of its matrix products, as torch counts them: a multiplication and an addition are two."""
    operations: Counter[str]
    """The operations dispatched to the device, by name, without views and allocations."""

    @property
    def total(self) -> int:
        """The number of operations dispatched."""
        return self.operations.total()


def count(call: Callable[[], Any]) -> Counts:
    """Count the operations of a call. Make the call once before if its first call sets things up."""
    with _Operations() as operations, FlopCounterMode(display=False) as flops:
        call()
    return Counts(flops.get_total_flops(), operations.found)


def costs(call: Callable[[], Any], device: torch.device) -> Mapping[str, int]:
    """Counts of one call, by name.

    On a CPU "flops" and "operations" as in `Counts`, and "launches", the calls of our kernels. `torch.compile` is off
    while it is counted. Only torch's operations of the calling thread are seen. "flops" is left out if torch counts
    none, as for a product of a matrix and a vector. On a GPU "kernels", the kernels that ran, of graphs and of compiled
    code too.
    """
    if device.type == "cuda":
        return {"kernels": kernels(call)}
    before = launches.total()
    # Nothing was compiled as long as Dynamo, which takes a second to import, is not there.
    off = torch.compiler.set_stance("force_eager") if "torch._dynamo" in sys.modules else nullcontext()
    with off:
        counted = count(call)
    flops = {"flops": counted.flops} if counted.flops else {}
    return {**flops, "operations": counted.total, "launches": launches.total() - before}


def kernels(call: Callable[[], Any], profiler: Callable[..., Any] = profile) -> int:
    """The number of kernels that a call runs on a GPU, copies and fills of memory not included."""
    with profiler(activities=[ProfilerActivity.CUDA]) as found:
        call()
        torch.cuda.synchronize()
    on_device = [it.name for it in found.events() if it.device_type.name == "CUDA"]
    return sum(not name.startswith(("Memcpy", "Memset")) for name in on_device)


class _Operations(TorchDispatchMode):
    """Counts the operations that pass through the dispatcher."""

    def __init__(self) -> None:
        super().__init__()
        self.found: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if func.namespace != "profiler" and not func.is_view and name not in NO_WORK:
            self.found[name] += 1
        return func(*args, **(kwargs or {}))


def adam_traffic(parameters: int) -> int:
    """The bytes that a fused float32 Adam step moves: it reads parameter, gradient and two moments and writes three."""
    return 7 * torch.float32.itemsize * parameters
