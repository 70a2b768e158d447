from __future__ import annotations

import math

import pytest
import torch

from aaeframe.benchmarking import limits
from aaeframe.benchmarking.case import Work
from aaeframe.benchmarking.limits import Limits, measure_limits

KNOWN = Limits(gemm={"fp32": 100.0, "int8": 400.0}, by={}, absent={}, copy=10.0)


@pytest.mark.parametrize(
    ("work", "seconds"),
    [
        (Work(flops=200, arithmetic="fp32", traffic=1), 2.0),
        (Work(flops=200, arithmetic="int8", traffic=1), 0.5),
        (Work(flops=200, arithmetic="fp32", traffic=50), 5.0),
        (Work(flops=200, arithmetic="fp16", traffic=50), None),
    ],
    ids=["arithmetic", "faster arithmetic", "traffic", "unknown arithmetic"],
)
def test_the_floor_is_what_takes_longer(work, seconds):
    assert KNOWN.floor(work) == seconds


def test_the_limits_of_this_machine():
    found = measure_limits(torch.device("cpu"), quick=True)

    assert {"fp32", "bf16"} <= found.gemm.keys()
    assert found.by.keys() == found.gemm.keys()
    assert found.absent.keys().isdisjoint(found.gemm)
    assert all(math.isfinite(rate) and rate > 0 for rate in [*found.gemm.values(), found.copy])


def test_products_that_a_machine_cannot_do_are_absent_with_the_reason(monkeypatch):
    def refuse(size, *device):
        raise RuntimeError("no such instruction\nat frame 0")

    monkeypatch.setattr(limits, "_int_mm", refuse)
    monkeypatch.setattr(limits, "_onednn_int8", refuse)

    found = measure_limits(torch.device("cpu"), quick=True)

    assert "int8" not in found.gemm
    assert found.absent == {"int8": "onednn.qlinear: no such instruction"}


def test_the_fastest_of_two_products_counts(monkeypatch):
    def refuse(size):
        raise NotImplementedError("not here")

    monkeypatch.setattr(limits, "_numpy_mm", refuse)

    found = measure_limits(torch.device("cpu"), quick=True)

    assert found.by["fp32"] == "torch.mm"
    assert "fp32" not in found.absent


@pytest.mark.parametrize(("seconds", "tried"), [(0.001, [512, 2048]), (1.0, [512])])
def test_a_product_that_would_take_long_is_not_tried_at_larger_sizes(monkeypatch, seconds, tried):
    sizes = []

    def product(size):
        sizes.append(size)
        return lambda: None

    monkeypatch.setattr(limits, "_products", lambda device: {"bf16": {"slow": product}})
    monkeypatch.setattr(limits, "_fastest", lambda call, device: seconds)
    monkeypatch.setattr(limits, "_copy_rate", lambda device, quick: 1.0)

    found = measure_limits(torch.device("cpu"))

    assert sizes == tried
    assert found.gemm == {"bf16": 2 * tried[-1] ** 3 / seconds}
