"""The maximum mean discrepancy between two sets of rows."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from aaeframe.errors import DataError
from aaeframe.evaluation.inputs import as_comparable_rows, spread

MAX_ROWS: Final = 2_000
"""The number of rows used of each set, evenly spaced: time and memory are quadratic in it."""
MEDIAN_ROWS: Final = 1_000
"""The number of rows of both sets together for the median distance."""


def mmd(a: Tensor, b: Tensor) -> float:
    """The squared maximum mean discrepancy, unbiased, between a (N, D) and b (M, D).

    MMD² = E k(a, a') + E k(b, b') - 2 E k(a, b) over different rows. k is a sum of Gaussian kernels exp(-||x - y||² /
    (2 s²)). The s are 1/4, 1/2, 1, 2 and 4 times the median distance between different rows of both sets. Two
    samples of one distribution give 0 on average, so small values are negative half of the time. Nothing is random:
    2,000 evenly spaced rows of larger sets are used. DataError if a set has a single row. Source: Gretton et al., "A
    Kernel Two-Sample Test", 2012, lemma 6 and section 8.
    """
    first, second = (spread(rows, MAX_ROWS) for rows in as_comparable_rows(a, b))
    if min(len(first), len(second)) < 2:
        raise DataError(f"two rows of each set are needed, found {len(first)} and {len(second)}")
    bandwidth = _median_distance(torch.cat([first, second]))
    if bandwidth == 0:  # all rows of both sets are one point
        return 0.0
    within = sum(_off_diagonal_mean(_kernel(rows, rows, bandwidth)) for rows in (first, second))
    return (within - 2 * _kernel(first, second, bandwidth).mean()).item()


def _median_distance(rows: Tensor) -> float:
    """The median distance between different points; repeated points, such as one-hot vectors, are ignored."""
    distances = torch.pdist(spread(rows, MEDIAN_ROWS))
    apart = distances[distances > 0]
    return apart.median().item() if len(apart) else 0.0


def _kernel(a: Tensor, b: Tensor, bandwidth: float) -> Tensor:
    """The sum of the five Gaussian kernels, (N, M)."""
    widest = torch.cdist(a, b).square_().mul_(-1 / (2 * (4 * bandwidth) ** 2)).exp_()
    total = widest.clone()
    for _ in range(4):
        # Half the bandwidth is the fourth power of the kernel: four products cost less than another
        # exponential.
        widest.square_().square_()
        total += widest
    return total


def _off_diagonal_mean(kernel: Tensor) -> Tensor:
    n = len(kernel)
    return (kernel.sum() - kernel.trace()) / (n * (n - 1))
