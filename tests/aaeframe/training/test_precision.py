from __future__ import annotations

import pytest
import torch

from aaeframe.errors import DeviceError
from aaeframe.training.device import arithmetic, check_precision, slower_than_fp32

CPU = torch.device("cpu")
BACKENDS = (
    *(torch.backends.cuda.matmul, torch.backends.cudnn.conv),
    *(torch.backends.mkldnn.matmul, torch.backends.mkldnn.conv),
)


def settings():
    return [backend.fp32_precision for backend in BACKENDS]


@pytest.fixture(autouse=True)
def as_before():
    before = settings()
    yield
    torch.set_float32_matmul_precision("highest")  # torch's default, which it keeps beside those of its backends
    for backend, value in zip(BACKENDS, before, strict=True):
        backend.fp32_precision = value


def inside(precision):
    with arithmetic(precision, CPU):
        return settings(), (torch.ones(2, 2) @ torch.ones(2, 2)).dtype


def test_each_precision_is_what_it_says_of_products_and_of_convolutions():
    assert inside("fp32") == (["ieee"] * 4, torch.float32)
    assert inside("tf32") == (["tf32", "tf32", "ieee", "ieee"], torch.float32)
    assert inside("bf16") == (["ieee"] * 4, torch.bfloat16)


@pytest.mark.parametrize("precision", ["highest", "high", "medium"])
def test_what_was_set_before_holds_again(precision):
    torch.set_float32_matmul_precision(precision)
    before = settings()
    with pytest.raises(KeyError), arithmetic("tf32", CPU):
        raise KeyError
    assert settings() == before
    assert torch.get_float32_matmul_precision() == precision


def test_what_was_set_the_newer_way_is_no_obstacle():
    torch.backends.cuda.matmul.fp32_precision = "tf32"
    assert inside("fp32")[0] == ["ieee"] * 4
    assert torch.backends.cuda.matmul.fp32_precision == "tf32"


def test_tf32_is_for_gpus():
    check_precision("tf32", torch.device("cuda"))
    check_precision("fp32", CPU)
    with pytest.raises(DeviceError, match="this run is on cpu; use fp32 or bf16"):
        check_precision("tf32", CPU)


@pytest.mark.parametrize(
    ("capability", "precision", "device", "slower"),
    [
        ("AVX2", "bf16", "cpu", True),
        ("AVX2", "fp32", "cpu", False),
        ("AVX2", "bf16", "cuda", False),
        ("AVX512", "bf16", "cpu", False),
    ],
)
def test_bf16_is_slower_where_a_cpu_has_no_products_of_it(monkeypatch, capability, precision, device, slower):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    assert slower_than_fp32(precision, torch.device(device)) == slower
