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


def run(files, cache, **variables):
    """Run these files in a child process; fail with the end of its output."""
    mode = ("TRITON_INTERPRET", "AAEFRAME_KERNELS")
    environment = {key: value for key, value in os.environ.items() if key not in mode}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", TOLERATED, *map(str, files)]
    child = subprocess.run(
        command,
        cwd=HERE.parents[1],
        env={**environment, "TRITON_CACHE_DIR": str(cache), **variables},
        capture_output=True,
        text=True,
    )
    assert files
    assert child.returncode == 0, f"{' '.join(command)}\n{child.stdout[-8000:]}\n{child.stderr[-2000:]}"


QUICK = ("kernel_paths.py",)
SUITES = [
    it if it.name in QUICK else pytest.param(it, marks=pytest.mark.slow) for it in sorted(HERE.rglob("kernel_*.py"))
]


@pytest.mark.parametrize("suite", SUITES, ids=lambda it: it.stem)
def test_numbers(suite, tmp_path):
    run([suite], tmp_path, **({} if torch.cuda.is_available() else {"TRITON_INTERPRET": "1"}))


@pytest.mark.slow
@pytest.mark.timeout(1800)  # six minutes of two busy cores
def test_machine_code(tmp_path):
    run(sorted(HERE.rglob("compile_*.py")), tmp_path)
