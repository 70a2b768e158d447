"""Independent random streams from one seed: more draws from one do not change another."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from aaeframe.torch_state import exclusive


def derive(seed: int, *names: object) -> int:
    """A seed for the named stream: a pure function of its arguments, in [0, 2^63)."""
    text = ":".join(str(part) for part in (seed, *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed: int, *names: object) -> torch.Generator:
    """A generator on the CPU for the named stream."""
    return torch.Generator().manual_seed(derive(seed, *names))


@contextmanager
def stream(seed: int, *names: object, device: torch.device | None = None) -> Iterator[None]:
    """Run the named stream in torch's global generators inside the block, and restore their state afterwards.

    Another thread that asks for a stream waits until the block ends.
    """
    devices = [device] if device is not None and device.type == "cuda" else []
    with exclusive(), torch.random.fork_rng(devices=devices):
        begin(seed, *names, device=device)
        yield


def begin(seed: int, *names: object, device: torch.device | None = None) -> None:
    """Begin the named stream in torch's global generators, inside the block of a `stream` that restores them."""
    value = derive(seed, *names)
    # Not torch.manual_seed, which would also permanently seed devices that were not given.
    torch.default_generator.manual_seed(value)
    if device is not None and device.type == "cuda":
        torch.cuda.default_generators[device.index].manual_seed(value)
