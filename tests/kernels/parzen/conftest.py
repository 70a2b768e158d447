"""Rows and samples for the Parzen tests."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest
import torch


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


@pytest.fixture
def pixels(generator):
    """37 images of 3 x 5 pixels, mostly dark as digits are."""
    values = torch.randint(0, 256, (37, 3, 5), generator=generator)
    return (values * (torch.rand(37, 3, 5, generator=generator) < 0.3)).to(torch.uint8)


@pytest.fixture
def samples(generator):
    """211 continuous samples in (0, 1) of the same shape."""
    return torch.rand(211, 3, 5, generator=generator) ** 3


@pytest.fixture(scope="session")
def digits():
    """MNIST digits as (test rows uint8, training rows uint8), flat."""
    root = os.environ.get("AAEFRAME_DATA")
    if root is None:
        pytest.skip("no AAEFRAME_DATA: real digits are wanted")
    return [_images(Path(root) / "mnist" / f"{name}-images-idx3-ubyte.gz") for name in ("t10k", "train")]


def _images(path):
    with gzip.open(path) as file:
        return torch.frombuffer(bytearray(file.read(16 + 10_000 * 784)[16:]), dtype=torch.uint8).reshape(-1, 784)
