"""The peak of memory of one call, and memory that is not there."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from aaeframe.benchmarking import memory
from aaeframe.benchmarking.memory import lacking, peak

CPU, MIB = torch.device("cpu"), 2**20


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the peak is read from /proc")
@pytest.mark.parametrize("ones", [torch.ones, np.ones], ids=["torch", "numpy"])
def test_the_peak_of_a_call_is_what_it_allocates_of_any_library_freed_or_not(ones):
    def call():
        first = ones(8 * MIB // 4 if ones is torch.ones else 4 * MIB // 4)  # float32 or float64: 8 MiB
        return first + first

    call()
    found = peak(call, CPU)
    if found is None:
        pytest.skip("this sandbox does not let a process forget its peak")
    assert 15 * MIB < found < 20 * MIB  # two arrays of 8 MiB; pages of other threads may be counted as well
    assert peak(lambda: None, CPU) < 2 * MIB


def test_where_the_peak_cannot_be_reset_there_is_none_and_the_call_is_made(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "_CLEAR", tmp_path / "absent" / "clear_refs")
    called = []
    assert peak(lambda: called.append(1), CPU) is None
    assert called == [1]


def test_on_a_gpu_it_is_what_torch_allocates_over_what_was_there(monkeypatch):
    steps = []
    allocated = {"now": 100, "peak": 900}

    def reset(device):
        allocated["peak"] = allocated["now"]

    def call():
        allocated["peak"] = allocated["now"] + 50
        steps.append("call")

    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: steps.append("wait"))
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", reset)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: allocated["now"])
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: allocated["peak"])
    assert peak(call, torch.device("cuda")) == 50
    assert steps == ["wait", "call", "wait"]


def test_memory_that_is_not_there_is_told_with_numbers(monkeypatch):
    monkeypatch.setattr(memory, "available", lambda device: 2 * 2**30)
    assert lacking(2**30, CPU) is None
    assert lacking(3 * 2**30, CPU) == "it needs 3.0 GiB of memory, and 2.0 GiB are free: use smaller sizes"
    monkeypatch.setattr(memory, "available", lambda device: None)
    assert lacking(2**60, CPU) is None
