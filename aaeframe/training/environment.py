"""What the bits of a run depend on besides its configuration and data."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from typing import Any

import torch


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
