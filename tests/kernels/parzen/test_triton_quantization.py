"""The error of rounding the Triton kernels' operands on real digits, emulated in float64.

The operands are those of `prepare_kernel`, whose tests check it against the same formulas. Everything after them is
exact here. It is not a run on a GPU: the errors of a GPU's accumulators are not included.
"""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import avg_pool2d

pytestmark = pytest.mark.slow

BANDWIDTHS = (0.1, 0.15, 0.2, 0.3)


@pytest.fixture(scope="module")
def case(digits):
    """2000 test digits, uint8, and 10,000 decoder-like samples: training digits, blurred a little, of any gray."""
    test, train = digits
    draw = torch.Generator().manual_seed(0)
    ink = train[:10_000].view(-1, 28, 28).float() / 255
    blur = avg_pool2d(ink[:, None], 3, stride=1, padding=1)[:, 0]
    share, gain = (torch.rand(10_000, 1, 1, generator=draw) for _ in range(2))
    samples = (0.8 + 0.2 * gain) * torch.lerp(ink, blur, share)
    return test[:2000], samples.flatten(1)


def log_sums(x, samples, norms_of=None):
    """log of the kernel sums (N, bandwidths), from exact products in float64, norms of the same or of other rows."""
    left, right = (rows.square().sum(1) for rows in norms_of or (x, samples))
    squared = left[:, None] + right - 2 * x @ samples.t()
    return torch.stack([torch.logsumexp(squared / (-2 * h**2), 1) for h in BANDWIDTHS], 1)


@pytest.fixture(scope="module")
def exact(case):
    x, samples = case
    return log_sums(x.double() / 255, samples.double())


def operands(mode, x, samples):
    """x and samples as the kernels multiply them, in the data's units."""
    if mode == "int8x2":
        return x.double() / 255 - 128 / 255, (samples.double() * 65280).round() / 65280 - 128 / 255
    center = x.double().mean(0).round().float()
    rounded = [(pixels - center).half().double() / 255 for pixels in (x.float(), samples * 255)]
    return rounded[0], rounded[1]


@pytest.mark.parametrize("mode", ["fp16", "int8x2"])
def test_rounding_costs_less_than_a_hundredth_of_a_nat(mode, case, exact):
    error = log_sums(*operands(mode, *case)) - exact

    assert float(error.mean(0).abs().max()) < 0.01


def test_norms_of_unrounded_rows_would_cost_too_much(case, exact):
    x, samples = case
    rows = (x.float() / 255, samples)
    truncated = [(values.view(torch.int32) & ~0x1FFF).view(torch.float32).double() for values in rows]  # as tf32

    error = log_sums(*truncated, norms_of=[values.double() for values in rows]) - exact

    assert float(error.mean(0).abs().max()) > 0.1
