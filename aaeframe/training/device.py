"""The device a run was asked for."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

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
