"""The choice of an implementation for given tensors, with its reason."""

from __future__ import annotations

import functools
import importlib.util
import os
from collections import Counter
from typing import Final, Literal, NamedTuple, TypeAlias, get_args

import torch

Backend: TypeAlias = Literal["triton", "cpu", "reference"]
"""The implementations.

- `triton`: fused kernels on a GPU, or in Triton's interpreter.
- `cpu`: the fastest torch operations, on any device.
- `reference`: the specification, plain and in float64 where that matters.
"""

VARIABLE: Final = "AAEFRAME_KERNELS"
"""The environment variable that forces a backend."""

launches: Final[Counter[str]] = Counter()
"""The number of runs of each implementation in this process, by "<backend>/<kernel>"; tests verify backends by it."""


class KernelUnavailable(RuntimeError):
    """The requested backend cannot run here."""


class Choice(NamedTuple):
    """A backend, and a clause with the reason."""

    backend: Backend
    reason: str


def choose(device: torch.device, unsupported_reason: str | None = None) -> Choice:
    """The backend for tensors on `device`. KernelUnavailable if the forced one is unknown or cannot run there.

    `unsupported_reason`: the reason why the Triton kernel does not support these tensors, as a clause; None if it does.
    """
    wanted = os.environ.get(VARIABLE)
    if not wanted:
        return _default(device, unsupported_reason)
    if wanted not in get_args(Backend):
        raise KernelUnavailable(f"{VARIABLE}={wanted!r} names no backend; there are: {', '.join(get_args(Backend))}")
    if wanted == "triton":
        unsupported_reason = _unsupported_reason(device) or unsupported_reason
        if unsupported_reason:
            raise refusal(unsupported_reason)
    return Choice(wanted, f"{VARIABLE}={wanted}")  # type: ignore[arg-type]  # one of Backend, checked above


def forced() -> bool:
    """Whether the environment forces a backend, which then runs or raises an error."""
    return bool(os.environ.get(VARIABLE))


def refusal(unsupported_reason: str) -> KernelUnavailable:
    """The error if the Triton kernels are forced but not supported, with the reason as a clause."""
    return KernelUnavailable(
        f"{VARIABLE}=triton asks for the Triton kernels, but {unsupported_reason}; unset {VARIABLE}, or set it to cpu"
    )


def interpreted() -> bool:
    """Whether Triton kernels of this process run in Triton's interpreter, on CPU tensors."""
    return os.environ.get("TRITON_INTERPRET") == "1"


def _default(device: torch.device, unsupported_reason: str | None) -> Choice:
    if device.type != "cuda":
        return Choice("cpu", f"tensors are on {device.type}")
    unsupported_reason = _unsupported_reason(device) or unsupported_reason
    if unsupported_reason:
        return Choice("cpu", unsupported_reason)
    return Choice("triton", "tensors are on a GPU and triton is installed")


@functools.cache
def _has_triton() -> bool:
    return importlib.util.find_spec("triton") is not None


def _unsupported_reason(device: torch.device) -> str | None:
    """The reason why Triton kernels cannot run on this device; None if they can."""
    if not _has_triton():
        return "triton is not installed"
    if device.type != "cuda" and not interpreted():
        return f"tensors are on {device.type} and TRITON_INTERPRET is not 1"
    if device.type == "cuda" and torch.version.hip is None and torch.cuda.get_device_capability(device) < (8, 0):
        return "the GPU is older than compute capability 8.0, which triton no longer compiles for"
    return None
