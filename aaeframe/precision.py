"""The arithmetic of a training step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from aaeframe.errors import DeviceError


def check_precision(precision: str, device: torch.device) -> None:
    """DeviceError if the device cannot compute so."""
    if precision == "tf32" and device.type != "cuda":
        raise DeviceError(
            f"--precision tf32 is arithmetic of NVIDIA's GPUs, but this run is on {device.type}; use fp32 or bf16"
        )


@contextmanager
def arithmetic(precision: str, device: torch.device) -> Iterator[None]:
    """Inside, matrix products are of "fp32", "tf32" (rounded to 10 bits, on a GPU) or "bf16" (by autocast) numbers.

    Weights, losses and optimizers stay float32. What other code had set holds again afterwards.
    """
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    try:
        # No cache of cast weights: a phase must see what the phase before it has changed.
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16", cache_enabled=False):
            yield
    finally:
        torch.set_float32_matmul_precision(before)
