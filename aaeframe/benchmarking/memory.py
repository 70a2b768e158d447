"""Memory: the peak of one call, and whether what a call needs is there."""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import torch

_STATUS: Final = Path("/proc/self/status")
_CLEAR: Final = Path("/proc/self/clear_refs")


def peak(call: Callable[[], Any], device: torch.device) -> int | None:
    """The bytes by which one call raises the memory in use at its peak; None if that cannot be measured.

    On a GPU it is that of torch's allocator: `max_memory_allocated` over what was allocated before. A CUDA graph keeps
    its memory between replays, so its replay raises nothing. On a CPU it is the resident memory of the process, of all
    libraries, and needs Linux with glibc. Memory that was freed before is first given back to the system.
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        call()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    gc.collect()
    if not _trimmed():
        call()
        return None
    before = _resident("VmRSS")
    call()
    return max(0, _resident("VmHWM") - before)


def lacking(needed: float, device: torch.device) -> str | None:
    """A sentence if a device has less memory than is needed, in bytes; None if it has enough, or if that is unknown."""
    free = available(device)
    if free is None or needed <= free:
        return None
    return f"it needs {needed / 2**30:,.1f} GiB of memory, and {free / 2**30:,.1f} GiB are free: use smaller sizes"


def available(device: torch.device) -> int | None:
    """The free memory of a device in bytes; None if it is unknown."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0] if torch.cuda.is_available() else None
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
    except OSError:
        return None
    return next((_bytes(line) for line in lines if line.startswith("MemAvailable:")), None)


def _trimmed() -> bool:
    """Give freed memory back to the system and forget the peak so far. False if this system cannot."""
    try:
        if not sys.platform.startswith("linux"):
            return False
        ctypes.CDLL(None).malloc_trim(0)
        _CLEAR.write_text("5", "ascii")
    except (OSError, AttributeError):  # a sandbox that forbids it; another C library
        return False
    return True


def _resident(field: str) -> int:
    lines = _STATUS.read_text("ascii", errors="replace").splitlines()
    return next(_bytes(line) for line in lines if line.startswith(f"{field}:"))


def _bytes(line: str) -> int:
    """The bytes of a line such as "VmRSS:  123 kB"."""
    return 1024 * int(line.split()[1])
