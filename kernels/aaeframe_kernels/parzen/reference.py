"""The Parzen log-likelihood by its definition, in float64: the specification of every faster path."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from aaeframe_kernels.dispatch import launches
from aaeframe_kernels.parzen.engine import Engine, Partial
from aaeframe_kernels.parzen.inputs import as_data


def log_likelihood(x: Tensor, samples: Tensor, bandwidths: Tensor) -> Tensor:
    """The log-density log p(x) under a Gaussian kernel of each bandwidth h on each sample: (N, S) float64.

    x (N, D), samples (M, D), bandwidths (S,):

        log p(x) = logsumexp_j(-|x - s_j|^2 / (2 h^2)) - log M - D/2 log(2 pi h^2)

    This density is reported for generative adversarial networks (arXiv 1406.2661) and adversarial autoencoders (arXiv
    1511.05644, section 3). N x M numbers are in memory at once: for small problems, and to check the other engines.
    """
    squared = squared_distances(x, samples)
    columns = []
    for h in bandwidths.double().tolist():
        kernel = torch.logsumexp(-squared / (2 * h**2), dim=1)
        columns.append(kernel - math.log(len(samples)) - x.shape[1] / 2 * math.log(2 * math.pi * h**2))
    return torch.stack(columns, dim=1)


def squared_distances(x: Tensor, samples: Tensor) -> Tensor:
    """The distances |x_i - s_j|^2 by differences, (N, M) float64; uint8 stands for value/255."""
    left, right = as_data(x, torch.float64), as_data(samples, torch.float64)
    return torch.cdist(left, right, compute_mode="donot_use_mm_for_euclid_dist").square()


class ReferenceEngine(Engine):
    """The specification as an engine, for AAEFRAME_KERNELS=reference."""

    name = "float64"

    def __init__(self, x: Tensor, bandwidths: Tensor) -> None:
        self._x = x
        self.rates = (0.5 / bandwidths.double().square()).to(x.device)

    def accepts(self, chunk: Tensor) -> bool:
        """Whether the chunk is supported: always."""
        return True

    def partial(self, chunk: Tensor) -> Partial:
        """Nearest distances and kernel sums of one chunk, in float64."""
        launches["reference/parzen"] += 1
        squared = squared_distances(self._x, chunk)
        nearest = squared.amin(1)
        beyond = squared - nearest[:, None]
        return Partial(nearest, torch.stack([torch.exp(-beyond * rate).sum(1) for rate in self.rates], dim=1))
