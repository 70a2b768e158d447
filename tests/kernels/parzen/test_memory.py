"""Samples stream: the peak of memory does not grow with their number."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys, torch
from aaeframe_kernels.parzen import parzen_log_likelihood
rows, count, precision = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
generator = torch.Generator().manual_seed(0)
x = torch.randint(0, 256, (rows, 784), dtype=torch.uint8, generator=generator)
chunk = torch.rand(5000, 784, generator=generator)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
result = parzen_log_likelihood(x, (chunk for _ in range(count // 5000)), 0.2, precision=precision)
assert result.isfinite().all()
unit = 1024**2 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // unit)
"""


def growth(rows, count, precision):
    """MiB by which the peak of a process grows above its inputs while it estimates."""
    command = [sys.executable, "-c", PROGRAM, str(rows), str(count), precision]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


HALVES = """
import resource, sys, torch
from aaeframe_kernels.parzen import ParzenState
state = ParzenState(torch.zeros(200, 784, dtype=torch.uint8), 0.2)
samples = torch.full((200_000, 784), 0.5, dtype=torch.float16)
state.update(samples[:10_000])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
state.update(samples)
unit = 1024**2 if sys.platform == "darwin" else 1024
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // unit)
"""


@pytest.mark.slow
def test_samples_of_half_precision_are_never_converted_all_at_once():
    child = subprocess.run([sys.executable, "-c", HALVES], capture_output=True, text=True, check=True)
    assert int(child.stdout) < 300  # all of them in float32 would be 598 MiB


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["auto", "fp32"])
def test_ten_times_the_samples_take_the_same_memory(precision):
    few, many = (growth(200, count, precision) for count in (20_000, 200_000))
    assert many < 1024
    assert many - few < 64  # N x M would be 137 MiB more, the samples themselves 540


@pytest.mark.slow
def test_ten_thousand_rows_stay_below_a_gibibyte():
    assert growth(10_000, 10_000, "auto") < 1024
