"""The device a run was asked for."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Final

import torch

from aaeframe.errors import DeviceError


def pick(name: str) -> torch.device:
    """The device by name; "auto" is the first GPU, else the CPU. DeviceError if it is not there."""
    if name == "auto":
        return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeviceError(f"{name!r} is no device; on this machine there are: {available()}") from error
    if device.type not in ("cpu", "cuda") or (device.type == "cuda" and (device.index or 0) >= _gpus()):
        raise DeviceError(
            f"the device {name!r} is not on this machine, or not one aaeframe runs on; there are: {available()}. "
            "Choose one with --device, or leave it to --device auto"
        )
    return torch.device("cuda", device.index or 0) if device.type == "cuda" else torch.device("cpu")


def current(device: torch.device) -> AbstractContextManager[object]:
    """Inside, a GPU is torch's current one, on which streams and graphs are made; nothing for the CPU."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


def available() -> str:
    """The devices on this machine, for people."""
    return ", ".join(["cpu", *(f"cuda:{i} ({torch.cuda.get_device_name(i)})" for i in range(_gpus()))])


def _gpus() -> int:
    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def environment(device: torch.device) -> dict[str, str]:
    """What bitwise equality of a resumed run depends on besides the checkpoint."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    return {
        "torch": torch.__version__,
        "threads": str(torch.get_num_threads()),
        "device": f"{device.type} ({name})",
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
    }


def differences(saved: Mapping[str, Any], device: torch.device) -> list[str]:
    """How the environment differs from the saved one, one sentence part each."""
    here = environment(device)
    return [f"{key} was {saved.get(key)}, is {value}" for key, value in here.items() if saved.get(key) != value]


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
