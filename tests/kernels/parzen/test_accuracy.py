"""The error of the CPU's paths in nats on real digits, against the specification in float64."""

from __future__ import annotations

import functools

import pytest
import torch

from aaeframe_kernels.parzen import ParzenState, int8
from aaeframe_kernels.parzen.reference import log_likelihood

BANDWIDTHS = [0.1, 0.15, 0.2, 0.3]
PRECISIONS = ["fp32", "int8x2"] if int8.find().exact else ["fp32"]


def decoded(train):
    """Training digits through 40 principal components and a sigmoid: smooth and within (0, 1), as a decoder's are."""
    data = train.float() / 255
    centered = data - data.mean(0)
    axes = torch.linalg.eigh(centered.T @ centered).eigenvectors[:, -40:]
    return torch.sigmoid(8 * (centered @ axes @ axes.T + data.mean(0) - 0.5))


@pytest.fixture(scope="module")
def specified(digits):
    """A function of sizes (N, M): rows, samples and what the specification says of them, computed once for each."""

    @functools.cache
    def compute(count, of):
        x, samples = digits[0][:count], decoded(digits[1][:of])
        wanted = torch.tensor(BANDWIDTHS, dtype=torch.float64)
        return x, samples, torch.cat([log_likelihood(rows, samples, wanted) for rows in x.split(500)])

    return compute


def errors(problem, precision, compiled=False):
    """(N, S) nats by which a path is off."""
    x, samples, expected = problem
    state = ParzenState(x, BANDWIDTHS, precision=precision, compiled=compiled)
    state.update(samples)
    assert set(state.paths) == {precision}
    return state.log_likelihood() - expected


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_mean_is_right_to_a_hundredth_of_a_nat(specified, precision):
    assert float(errors(specified(200, 2000), precision).mean(0).abs().max()) < 2e-3


@pytest.mark.slow
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_mean_is_right_at_full_size(specified, precision, compiled):
    found = errors(specified(2000, 10_000), precision, compiled)
    assert float(found.mean(0).abs().max()) < 2e-3
    assert float(found.abs().max()) < 0.05
