"""What tests of kernels share: where they run, memory that shows what nobody wrote, and a forced path."""

from __future__ import annotations

import os
from importlib.util import find_spec

import pytest
import torch

collect_ignore = [] if find_spec("triton") else ["test_triton.py"]
"""Triton has no wheels for some platforms; the kernels' users do without it there, see test_dispatch.py."""


@pytest.fixture
def device():
    """Where Triton kernels run in this process: on the CPU if they are interpreted, on the GPU otherwise."""
    return torch.device("cpu" if os.environ.get("TRITON_INTERPRET") == "1" else "cuda")


@pytest.fixture
def triton_only(monkeypatch):
    """Triton kernels or an error."""
    monkeypatch.setenv("AAEFRAME_KERNELS", "triton")


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
