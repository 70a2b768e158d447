"""The arithmetic of a training step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import torch

from aaeframe.errors import DeviceError

_BACKENDS: Final[Any] = torch.backends  # torch's types leave out what stands in these modules
_ON_GPU: Final = (_BACKENDS.cuda.matmul, _BACKENDS.cudnn.conv)
_ON_CPU: Final = (_BACKENDS.mkldnn.matmul, _BACKENDS.mkldnn.conv)
"""Where torch is told what float32 products may be rounded to."""


def check_precision(precision: str, device: torch.device) -> None:
    """DeviceError if the device cannot compute so."""
    if precision == "tf32" and device.type != "cuda":
        raise DeviceError(
            f"--precision tf32 is arithmetic of NVIDIA's GPUs, but this run is on {device.type}; use fp32 or bf16"
        )


@contextmanager
def arithmetic(precision: str, device: torch.device) -> Iterator[None]:
    """Inside, products and convolutions are of "fp32", "tf32" (10 bits, on a GPU) or "bf16" (autocast) numbers.

    Weights, losses and optimizers stay float32. What other code had set holds again afterwards.
    """
    before = [(backend, backend.fp32_precision) for backend in (*_ON_GPU, *_ON_CPU)]
    for backend, _ in before:
        backend.fp32_precision = "tf32" if precision == "tf32" and backend in _ON_GPU else "ieee"
    try:
        # No cache of cast weights: a phase must see what the phase before it has changed.
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16", cache_enabled=False):
            yield
    finally:
        for backend, value in before:
            backend.fp32_precision = value
