"""The choice of a backend, how it is forced, and that everything works without triton."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from aaeframe_kernels import discriminator_loss, parzen_log_likelihood
from aaeframe_kernels.dispatch import KernelUnavailable, choose, launches

CPU = torch.device("cpu")


def head():
    return torch.randn(3, 4), torch.randn(4), torch.zeros(1), torch.ones(3), torch.ones(3)


def test_tensors_on_a_cpu_take_the_cpu_path(monkeypatch):
    monkeypatch.delenv("AAEFRAME_KERNELS", raising=False)

    assert choose(CPU) == ("cpu", "tensors are on cpu")


@pytest.mark.parametrize("path", ["cpu", "reference"])
def test_a_forced_path_is_taken(path, monkeypatch):
    monkeypatch.setenv("AAEFRAME_KERNELS", path)
    before = launches[f"{path}/discriminator_loss"]

    discriminator_loss(*head())

    assert launches[f"{path}/discriminator_loss"] == before + 1
    assert choose(CPU).reason == f"AAEFRAME_KERNELS={path}"


def density():
    return parzen_log_likelihood(torch.rand(3, 4), torch.rand(5, 4), 0.2)


@pytest.mark.parametrize("call", [lambda: discriminator_loss(*head()), density], ids=["loss", "density"])
def test_triton_without_a_gpu_or_the_interpreter_is_an_error(call, monkeypatch):
    monkeypatch.setenv("AAEFRAME_KERNELS", "triton")
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)

    with pytest.raises(KernelUnavailable, match="on cpu and TRITON_INTERPRET is not 1; unset AAEFRAME_KERNELS"):
        call()


def test_an_unknown_path_is_an_error(monkeypatch):
    monkeypatch.setenv("AAEFRAME_KERNELS", "cuda")

    with pytest.raises(KernelUnavailable, match="'cuda' names no backend; there are: triton, cpu, reference"):
        choose(CPU)


WITHOUT_TRITON = """
import os
import sys

sys.modules["triton"] = None  # as if it were not installed
import torch
from aaeframe_kernels import discriminator_loss, parzen_log_likelihood
from aaeframe_kernels.dispatch import KernelUnavailable, choose

features = torch.randn(3, 4, requires_grad=True)
discriminator_loss(features, torch.randn(4), torch.zeros(1), torch.ones(3), torch.ones(3)).loss.backward()
assert features.grad is not None
assert parzen_log_likelihood(torch.rand(3, 4), torch.rand(5, 4), 0.2).isfinite().all()

os.environ["AAEFRAME_KERNELS"] = "triton"
try:
    choose(torch.device("cpu"))
except KernelUnavailable as error:
    assert "triton is not installed" in str(error), error
else:
    raise AssertionError("a missing triton was chosen")
"""


@pytest.mark.slow
def test_everything_works_without_triton():
    child = subprocess.run([sys.executable, "-c", WITHOUT_TRITON], capture_output=True, text=True)

    assert child.returncode == 0, child.stderr


@pytest.mark.slow
def test_importing_the_kernels_imports_no_triton():
    code = "import sys, aaeframe_kernels; sys.exit('triton' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
