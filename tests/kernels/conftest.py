"""Shared by the tests of kernels: the device, memory poisoned to reveal unwritten values, and a forced backend."""

from __future__ import annotations

import os
from importlib.util import find_spec

import pytest
import torch

from aaeframe_kernels.parzen import launch as gpu

collect_ignore = [] if find_spec("triton") else ["test_triton.py"]
"""Triton has no wheels for some platforms; the kernels' users do without it there, see test_dispatch.py."""


@pytest.fixture
def device():
    """The device of Triton kernels in this process: the CPU if they are interpreted, otherwise the GPU."""
    return torch.device("cpu" if os.environ.get("TRITON_INTERPRET") == "1" else "cuda")


@pytest.fixture
def triton_only(monkeypatch):
    """Triton kernels or an error."""
    monkeypatch.setenv("AAEFRAME_KERNELS", "triton")


@pytest.fixture
def small_tiles(monkeypatch):
    """Parzen tiles so small that a small problem has many, with few programs to share them.

    16 is the least of each side that a GPU multiplies; of 8-bit numbers it wants 32.
    """
    depths = {"fp16": 16, "int8x2": 32, "fp32": 16}
    monkeypatch.setattr(gpu, "TILES", {mode: gpu.Tile(16, 16, depth, 4, 3) for mode, depth in depths.items()})
    monkeypatch.setattr(gpu, "PROGRAMS", 9)


@pytest.fixture
def poisoned(monkeypatch):
    """Memory that torch.empty allocates holds NaN, or the greatest integer, until somebody writes it."""

    def poison(allocate):
        def allocated(*arguments, **options):
            memory = allocate(*arguments, **options)
            worst = float("nan") if memory.is_floating_point() else torch.iinfo(memory.dtype).max
            return memory.fill_(worst)

        return allocated

    for name in ("empty", "empty_like"):
        monkeypatch.setattr(torch, name, poison(getattr(torch, name)))
