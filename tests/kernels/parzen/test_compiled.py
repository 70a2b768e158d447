"""The compiled epilogue: the same numbers, compiled once, and done without where it cannot be had."""

from __future__ import annotations

import math
import os
import subprocess
import sys

import pytest
import torch

from aaeframe_kernels.parzen import ParzenState, compiled, int8, parzen_log_likelihood
from aaeframe_kernels.parzen.bandwidth import default_bandwidths
from aaeframe_kernels.parzen.compiled import exp_of_negative

BANDWIDTHS = [0.1, 0.15, 0.2, 0.3]
PRECISIONS = ["fp32", "int8x2"] if int8.find().exact else ["fp32"]
SLOW = [pytest.param(it, marks=pytest.mark.slow) for it in PRECISIONS[1:]]


def test_the_exponential_is_one():
    u = torch.cat([torch.zeros(1), torch.logspace(-6, 1.5, 10_000)])
    expected = torch.exp(-u.double())
    assert float((exp_of_negative(u).double() / expected - 1).abs().max()) < 1e-5
    assert exp_of_negative(torch.zeros(1)) == 1
    assert exp_of_negative(torch.tensor([1e9, float("inf")])).tolist() == pytest.approx([1.27e-14] * 2, rel=0.01)
    assert exp_of_negative(torch.tensor([float("nan")])).isnan()


@pytest.mark.parametrize("precision", [PRECISIONS[0], *SLOW])
def test_it_agrees_with_plain_torch_for_any_sizes(generator, precision):
    for count, of, features in ((37, 211, 15), (2, 3, 1), (1, 50, 4), (50, 1, 4), (100, 100, 100)):
        x = torch.randint(0, 256, (count, features), dtype=torch.uint8, generator=generator)
        samples = torch.rand(of, features, generator=generator)
        found = {}
        for wanted in (False, True):
            state = ParzenState(x, BANDWIDTHS, precision=precision, compiled=wanted)
            state.update(samples)
            found[wanted] = state.log_likelihood()
        torch.testing.assert_close(found[True], found[False], rtol=0, atol=2e-3)
    reason = compiled.outcome(torch.ones(1), transposed=precision == "int8x2")
    wanted = "compiled by torch.compile" if compiled.compiler() else "plain torch: torch.compile failed: "
    assert reason.startswith(wanted)


@pytest.mark.slow
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("bandwidths", [default_bandwidths(torch.zeros(1, 1, dtype=torch.uint8)), [0.4, 0.2, 0.1, 0.3]])
def test_many_bandwidths_agree_with_plain_torch_in_any_order(pixels, samples, precision, bandwidths):
    found = [
        parzen_log_likelihood(pixels, samples, bandwidths, precision=precision, compiled=it) for it in (True, False)
    ]
    torch.testing.assert_close(*found, rtol=0, atol=2e-3)


def test_octaves_are_found_where_rates_double():
    rates = 0.5 / torch.tensor(default_bandwidths(torch.rand(2, 2)), dtype=torch.float64).square()
    assert compiled.octaves(rates) == 5
    assert compiled.octaves(rates[:10]) == 5
    assert compiled.octaves(rates[:12]) == 12  # not whole octaves
    assert compiled.octaves(rates.flip(0)) == 20
    assert compiled.octaves(torch.tensor([8.0, 4.0, 2.0])) == 1
    assert compiled.octaves(torch.tensor([8.0, 4.0, 2.0001])) == 3
    assert compiled.octaves(torch.tensor([1.0])) == 1
    assert compiled.octaves(0.5 ** torch.arange(5)) == 5  # repeated squaring would multiply errors


def test_squared_exponentials_neither_underflow_nor_hide_nan():
    far = torch.tensor([[0.0, 1e9, 3.0], [0.0, float("nan"), 1.0]])
    sums = torch.stack(compiled._kernel_sums(far, torch.zeros(2), torch.tensor([0.5]), octaves=4), dim=1)
    rates = 0.5 * 2 ** torch.arange(4)
    torch.testing.assert_close(sums[0], 1 + torch.exp(-3 * rates), rtol=1e-4, atol=0)
    assert sums[1].isnan().all()


@pytest.mark.slow
@pytest.mark.parametrize("wrong", [lambda x: x + 0.1, lambda x: x * math.nan])
def test_wrong_results_of_the_compiler_are_not_used(wrong):
    made = compiled.Generated(lambda x: (x, wrong(x)), lambda: (torch.rand(1040, 1200),), lambda x: (x, x))
    assert made(torch.rand(30, 40)) is None
    assert made.reason.startswith("plain torch: ")


def test_it_is_compiled_only_where_it_pays(pixels, samples, monkeypatch):
    asked = []
    monkeypatch.setattr(compiled, "partial", lambda *_: asked.append(1))
    monkeypatch.setattr("aaeframe_kernels.parzen.state.WORTH", 300 * len(pixels))
    state = ParzenState(pixels, 0.2)
    counts = []
    for _ in range(3):
        state.update(samples)
        counts.append(len(asked))
    assert counts == [0, 0, 1]  # 422 samples were seen when the third chunk came


def test_what_fails_to_compile_again_is_done_without_from_then_on(pixels, samples, monkeypatch):
    calls = []

    def failing(*_):
        calls.append(1)
        raise RuntimeError("no space left\n")

    made = compiled.Generated(failing, lambda: ())
    made._compiled, made._reason = failing, compiled.COMPILED
    monkeypatch.setattr(compiled, "distances", lambda **_: made)
    state = ParzenState(pixels, BANDWIDTHS, precision="fp32", compiled=True)
    for _ in range(2):
        state.update(samples)

    assert len(calls) == 1
    assert made.reason == "plain torch: torch.compile failed: RuntimeError: no space left\n"
    torch.testing.assert_close(
        state.log_likelihood(), parzen_log_likelihood(pixels, samples, BANDWIDTHS, precision="fp32", compiled=False)
    )


PROGRAM = """
import torch
from aaeframe_kernels.parzen import ParzenState
from aaeframe_kernels.parzen.paths import describe
state = ParzenState(torch.rand(9, 5), 0.2, compiled=True)
state.update(torch.rand(20, 5))
assert state.log_likelihood().isfinite().all()
print(describe(attempt=True))
"""


@pytest.mark.slow
def test_a_compiler_that_fails_is_done_without_and_the_reason_kept(tmp_path):
    environment = os.environ | {"CXX": "/bin/false", "TORCHINDUCTOR_CACHE_DIR": str(tmp_path)}
    child = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM], env=environment, capture_output=True, text=True, check=False
    )
    assert child.returncode == 0, child.stderr[-2000:]
    assert "the epilogue is plain torch: torch.compile failed: " in child.stdout
