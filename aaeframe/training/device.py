"""The device of a run: choose it, compute on it and describe it."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Final, get_args

import torch

from aaeframe import processes
from aaeframe.configuration.schema import Precision
from aaeframe.errors import ConfigError, DeviceError
from aaeframe.processes import launcher

PRECISIONS: Final[tuple[Precision, ...]] = get_args(Precision)


def pick(name: str) -> torch.device:
    """The device by name; "auto" is the first GPU, else the CPU. DeviceError if it does not exist.

    Of several processes on a machine, each has its own GPU.
    """
    if processes.size() > 1 and name != "cpu" and _gpus():
        return _own_gpu(name)
    if name == "auto":
        return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeviceError(f"{name!r} is not a device; on this machine there are: {available()}") from error
    if device.type not in ("cpu", "cuda") or (device.type == "cuda" and (device.index or 0) >= _gpus()):
        raise DeviceError(
            f"the device {name!r} is not on this machine, or not one aaeframe runs on; there are: {available()}. "
            "Choose one with --device, or use --device auto"
        )
    return torch.device("cuda", device.index or 0) if device.type == "cuda" else torch.device("cpu")


def _own_gpu(name: str) -> torch.device:
    """The GPU of this process. DeviceError if a GPU is named, or there are fewer than processes."""
    if name not in ("auto", "cuda"):
        raise DeviceError(
            f"{name!r} is one device, and there are {processes.size()} processes; use --device auto or cpu"
        )
    if launcher.local_rank() >= _gpus():
        raise DeviceError(
            f"process {launcher.local_rank()} of this machine has no GPU: there are {_gpus()}. Start as many "
            "processes as GPUs, or use --device cpu"
        )
    return torch.device("cuda", launcher.local_rank())


def current(device: torch.device) -> AbstractContextManager[object]:
    """Make a GPU torch's current device, for its streams and graphs; does nothing for the CPU."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


def available() -> str:
    """The devices of this machine, for messages."""
    return ", ".join(["cpu", *(f"cuda:{i} ({torch.cuda.get_device_name(i)})" for i in range(_gpus()))])


def _gpus() -> int:
    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def environment(device: torch.device) -> dict[str, str]:
    """The properties that a resumed run must share, besides the checkpoint, to be bitwise equal."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    return {
        "torch": torch.__version__,
        "threads": str(torch.get_num_threads()),
        "device": f"{device.type} ({name})",
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "processes": str(processes.size()),
    }


def differences(saved: Mapping[str, Any], device: torch.device) -> list[str]:
    """The differences between the saved and the current environment, each as part of a sentence."""
    here, known = environment(device), {"processes": "1", **saved}
    return [f"{key} was {known.get(key)}, is {value}" for key, value in here.items() if known.get(key) != value]


_BACKENDS: Final[Any] = torch.backends  # torch's types lack some attributes of these modules


_ON_GPU: Final = (_BACKENDS.cuda.matmul, _BACKENDS.cudnn.conv)


_ON_CPU: Final = (_BACKENDS.mkldnn.matmul, _BACKENDS.mkldnn.conv)
"""The torch backends with a setting for the precision of float32 products."""


def check_precision(precision: str, device: torch.device) -> None:
    """ConfigError if there is no such precision, DeviceError if the device does not support it."""
    if precision not in PRECISIONS:
        raise ConfigError(f"there is no precision {precision!r}; there are {', '.join(PRECISIONS)}")
    if precision == "tf32" and device.type != "cuda":
        raise DeviceError(
            f"--precision tf32 is arithmetic of NVIDIA's GPUs, but this run is on {device.type}; use fp32 or bf16"
        )


def slower_than_fp32(precision: str, device: torch.device) -> bool:
    """Whether the precision is known to cost time: by AVX2, bfloat16 products take several times as long."""
    return precision == "bf16" and device.type == "cpu" and torch.backends.cpu.get_cpu_capability() == "AVX2"


@contextmanager
def arithmetic(precision: str, device: torch.device) -> Iterator[None]:
    """Compute products and convolutions in "fp32", "tf32" (10 bits, on a GPU) or "bf16" (autocast) inside the block.

    Weights, losses and optimizers stay float32. Previous settings are restored afterwards.
    """
    before = [(backend, backend.fp32_precision) for backend in (*_ON_GPU, *_ON_CPU)]
    for backend, _ in before:
        backend.fp32_precision = "tf32" if precision == "tf32" and backend in _ON_GPU else "ieee"
    try:
        # No cache of cast weights: a phase must see the weights that the previous phase has changed.
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16", cache_enabled=False):
            yield
    finally:
        for backend, value in before:
            backend.fp32_precision = value
