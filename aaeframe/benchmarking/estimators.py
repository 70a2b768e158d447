"""The Parzen log-likelihood by other libraries, called as their users do: (N,) nats."""

from __future__ import annotations

import math
import os

import torch
from torch import Tensor


def normalizer(samples: int, features: int, bandwidth: float) -> float:
    """The normalizer log M + D/2 log(2 pi h^2) of a sum of kernels."""
    return math.log(samples) + features / 2 * math.log(2 * math.pi * bandwidth**2)


def torch_cdist(x: Tensor, samples: Tensor, bandwidth: float) -> Tensor:
    """All distances at once in float32, then logsumexp: the usual few lines. x (N, D), samples (M, D)."""
    squared = torch.cdist(x, samples).square()
    kernels = torch.logsumexp(squared / (-2 * bandwidth**2), dim=1)
    return kernels - normalizer(len(samples), x.shape[1], bandwidth)


def scikit_learn(x: Tensor, samples: Tensor, bandwidth: float) -> Tensor:
    """`KernelDensity` with a single leaf, float64, on its only thread.

    With its default leaves it is wrong for many features: scikit-learn's issues 25799 and 7492.
    """
    from sklearn.neighbors import KernelDensity

    density = KernelDensity(bandwidth=bandwidth, leaf_size=len(samples)).fit(samples.double().numpy())
    return torch.from_numpy(density.score_samples(x.double().numpy()))


def keops(x: Tensor, samples: Tensor, bandwidth: float) -> Tensor:
    """KeOps' streaming reduction, float32, on all threads. It computes differences, not products (arXiv 2004.11127)."""
    for variable in ("KEOPS_VERBOSE", "PYKEOPS_VERBOSE"):  # it prints to standard output
        os.environ.setdefault(variable, "0")
    from pykeops.torch import LazyTensor

    differences = LazyTensor(x[:, None, :]) - LazyTensor(samples[None, :, :])
    kernels = (differences.square().sum(-1) / (-2 * bandwidth**2)).logsumexp(dim=1)
    return kernels.flatten() - normalizer(len(samples), x.shape[1], bandwidth)
