"""The Triton kernels, each suite in a process of its own: a process interprets kernels or compiles them, never both.

The suites are the files kernel_*.py and compile_*.py, which pytest collects only if they are named. kernel_*.py tests
numbers, on a GPU if there is one, otherwise interpreted; compile_*.py tests machine code for absent GPUs.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

HERE = Path(__file__).parent

# What triton 3.6's interpreter does with NumPy's arrays, and NumPy 2.3 warns of.
TOLERATED = "ignore:Conversion of an array with ndim > 0 to a scalar:DeprecationWarning"


def run(*what, cache, **variables):
    """Run these files in a child process; fail with the end of its output."""
    assert what, "without a file, pytest would run all tests"
    mode = ("TRITON_INTERPRET", "AAEFRAME_KERNELS")
    environment = {key: value for key, value in os.environ.items() if key not in mode}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", TOLERATED, *map(str, what)]
    child = subprocess.run(
        command,
        cwd=HERE.parents[1],
        env={**environment, "TRITON_CACHE_DIR": str(cache), **variables},
        capture_output=True,
        text=True,
    )
    assert child.returncode == 0, f"{' '.join(command)}\n{child.stdout[-8000:]}\n{child.stderr[-2000:]}"


def numbers(*what, cache):
    run(*what, "-n", "0", cache=cache, **({} if torch.cuda.is_available() else {"TRITON_INTERPRET": "1"}))


def test_some_numbers(tmp_path):
    """A few numbers of both kernels; all of them are the slow test below."""
    kernels = HERE / "discriminator_loss/kernel_discriminator_loss.py", HERE / "parzen/kernel_paths.py"
    numbers(*kernels, "-k", "every_kind or state_runs_on_the_kernels or finer_kernels", cache=tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("suite", sorted(HERE.rglob("kernel_*.py")), ids=lambda it: it.stem)
def test_numbers(suite, tmp_path):
    numbers(suite, cache=tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(1800)  # six minutes of two busy cores
def test_machine_code(tmp_path):
    run(*sorted(HERE.rglob("compile_*.py")), cache=tmp_path)
