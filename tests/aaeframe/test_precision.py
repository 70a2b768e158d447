from __future__ import annotations

import pytest
import torch

from aaeframe.errors import DeviceError
from aaeframe.precision import arithmetic, check_precision

CPU = torch.device("cpu")


def inside(precision):
    with arithmetic(precision, CPU):
        product = torch.ones(2, 2) @ torch.ones(2, 2)
        return torch.get_float32_matmul_precision(), product.dtype


def test_each_precision_is_what_it_says():
    assert inside("fp32") == ("highest", torch.float32)
    assert inside("tf32") == ("high", torch.float32)
    assert inside("bf16") == ("highest", torch.bfloat16)


@pytest.mark.parametrize("before", ["highest", "high", "medium"])
def test_what_was_set_before_holds_again(before):
    try:
        torch.set_float32_matmul_precision(before)
        with pytest.raises(KeyError), arithmetic("tf32", CPU):
            raise KeyError
        assert torch.get_float32_matmul_precision() == before
    finally:
        torch.set_float32_matmul_precision("highest")


def test_tf32_is_for_gpus():
    check_precision("tf32", torch.device("cuda"))
    check_precision("fp32", CPU)
    with pytest.raises(DeviceError, match="this run is on cpu; use fp32 or bf16"):
        check_precision("tf32", CPU)
