"""The specification against independent implementations."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from scipy.special import logsumexp
from sklearn.neighbors import KernelDensity

from aaeframe_kernels.parzen.reference import log_likelihood, squared_distances

BANDWIDTHS = torch.tensor([0.05, 0.2, 1.5], dtype=torch.float64)


def test_it_is_scipys_log_sum_exp_of_distances(generator):
    x = torch.randn(23, 6, dtype=torch.float64, generator=generator)
    samples = torch.randn(41, 6, dtype=torch.float64, generator=generator)
    squared = cdist(x.numpy(), samples.numpy(), "sqeuclidean")
    for column, h in zip(log_likelihood(x, samples, BANDWIDTHS).T, BANDWIDTHS.tolist(), strict=True):
        expected = logsumexp(-squared / (2 * h**2), axis=1) - np.log(41) - 3 * np.log(2 * np.pi * h**2)
        np.testing.assert_allclose(column.numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize("h", BANDWIDTHS.tolist())
def test_it_is_scikit_learns_kernel_density(generator, h):
    x, samples = torch.rand(19, 4, generator=generator), torch.rand(50, 4, generator=generator)
    density = KernelDensity(bandwidth=h, leaf_size=50).fit(samples.double().numpy())  # one leaf: exact
    found = log_likelihood(x, samples, torch.tensor([h], dtype=torch.float64))[:, 0]
    np.testing.assert_allclose(found.numpy(), density.score_samples(x.double().numpy()), rtol=1e-10)


def test_bytes_count_as_parts_of_255():
    x, samples = torch.tensor([[0, 255]], dtype=torch.uint8), torch.tensor([[0.0, 0.0], [0.0, 1.0]])
    torch.testing.assert_close(squared_distances(x, samples), torch.tensor([[1.0, 0.0]], dtype=torch.float64))
    torch.testing.assert_close(squared_distances(samples, x), torch.tensor([[1.0], [0.0]], dtype=torch.float64))


def test_one_sample_gives_the_normal_density():
    x = torch.tensor([[0.3, -0.2, 1.0]], dtype=torch.float64)
    normal = torch.distributions.Normal(torch.zeros(3, dtype=torch.float64), 0.7)
    found = log_likelihood(x, torch.zeros(1, 3), torch.tensor([0.7], dtype=torch.float64))
    torch.testing.assert_close(found[0, 0], normal.log_prob(x[0]).sum())
