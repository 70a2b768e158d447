from __future__ import annotations

import pytest
import torch

from aaeframe.errors import DeviceError
from aaeframe.training.device import available, pick


@pytest.fixture
def gpus(monkeypatch):
    """A machine with so many GPUs."""

    def have(count):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: f"GPU {index}")

    return have


def test_auto_is_the_first_gpu_or_else_the_cpu(gpus):
    gpus(2)
    assert pick("auto") == torch.device("cuda", 0)
    gpus(0)
    assert pick("auto") == torch.device("cpu")


def test_a_device_by_name(gpus):
    gpus(2)
    assert pick("cpu") == torch.device("cpu")
    assert pick("cuda") == torch.device("cuda", 0)
    assert pick("cuda:1") == torch.device("cuda", 1)


@pytest.mark.parametrize(("name", "count"), [("cuda", 0), ("cuda:0", 0), ("cuda:2", 2), ("mps", 2), ("meta", 0)])
def test_a_device_that_is_not_there(gpus, name, count):
    gpus(count)
    with pytest.raises(DeviceError, match=f"the device '{name}' is not on this machine") as caught:
        pick(name)
    assert f"there are: {available()}. Choose one with --device" in str(caught.value)


@pytest.mark.parametrize("name", ["banana", "", "cuda:-1", "cuda:x", "cpu cuda"])
def test_what_is_no_device(gpus, name):
    gpus(1)
    with pytest.raises(DeviceError, match=r"is not a device; on this machine there are: cpu, cuda:0 \(GPU 0\)"):
        pick(name)
