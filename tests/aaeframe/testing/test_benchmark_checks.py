"""Checks of a benchmark: a right one passes, and each mistake is named."""

from __future__ import annotations

import pytest

from aaeframe.benchmarking import Benchmark
from aaeframe.benchmarking.estimators import torch_cdist
from aaeframe.testing import checks_for


def right():
    return Benchmark("parzen", torch_cdist)


def shifted():
    return Benchmark("parzen", lambda *given: torch_cdist(*given) + 1)


def elsewhere():
    def estimate(x, samples, bandwidth):
        raise NotImplementedError("for GPUs of tomorrow")

    return Benchmark("parzen", estimate)


def test_a_right_benchmark_passes():
    checks = dict(checks_for("benchmark", right))
    assert {"options", "builds", "suite", "result"} == set(checks)
    assert [check() for check in checks.values()] == [None] * 4


MISTAKES = {
    "suite": [
        (lambda: torch_cdist, "the factory returns function: return aaeframe.benchmarking.Benchmark"),
        (lambda: Benchmark("sort", torch_cdist), "there is no suite 'sort'"),
        (lambda: Benchmark("parzen", 3), "the function is of type int"),
        (lambda: Benchmark("loss", torch_cdist), "does not take the arguments of the suite loss"),
    ],
    "result": [(shifted, "in the case 'parzen N=40 M=160 D=64 bandwidths=1': the mean log-likelihood is off by 1")],
}


@pytest.mark.parametrize(("check", "factory", "words"), [(name, *it) for name in MISTAKES for it in MISTAKES[name]])
def test_a_mistake_fails_the_check_that_names_it(check, factory, words):
    with pytest.raises(AssertionError) as failed:
        dict(checks_for("benchmark", factory))[check]()
    assert words in str(failed.value)


def test_one_for_another_device_is_not_tested():
    assert dict(checks_for("benchmark", elsewhere))["result"]() == "refused: for GPUs of tomorrow"
