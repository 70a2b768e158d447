"""Tests of whether samples follow a density, or two sets of samples one distribution.

Every function returns a p-value, or None if it cannot decide, and works in any dimension. Two tests compare samples
with a density p, because each misses errors that the other finds:

**Lines.** Through each sample x goes a line of random direction u. Given the line, the position of x on it has
the density p(x + t u) up to a factor, so that

    F(x, u) = ∫_{t<0} p(x + t u) dt / ∫ p(x + t u) dt

is uniform on [0, 1]. This needs only one-dimensional integrals, and does not test the constant factor of p. The
directions are differences of other samples: they have the scale of p, and stay in an affine subspace, such as
the simplex.

**Bridge.** For any second density g, here a kernel estimate from other samples,

    E_{x ~ p}[g(x) / (p(x) + g(x))] = E_{y ~ g}[p(y) / (p(y) + g(y))],

because both are ∫ p g / (p + g) (Bennett, 1976). This holds only if p integrates to 1. The averaged terms
lie in [0, 1], so their means are nearly normal.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, TypeAlias

import torch
from scipy.stats import chi2, ks_2samp, norm, poisson
from torch import Tensor

LogDensity: TypeAlias = Callable[[Tensor], Tensor]
"""Points (N, D) -> log-density (N,), minus infinity outside the support."""

BINS: Final = 20
GRIDS: Final = (128, 256, 512, 1024, 2048, 4096)
GRID_ERROR: Final = 2e-3
"""A grid is fine enough if doubling it moves F by less, which is far below the bin width 1 / BINS."""
CENTERS: Final = 1000
"""The number of kernels of the density estimate."""
POINTS_AT_ONCE: Final = 2**18
NODES: Final = 500
"""The number of samples that show where a line needs a fine grid."""
HALVINGS: Final = 7
"""The number of bandwidths tried for the kernel estimate, from Scott's rule down."""
FLAT: Final = 1e-6
"""Samples have no volume if their variance in some direction is below this, relative to the largest."""


def lines_p_value(samples: Tensor, others: Tensor, log_density: LogDensity) -> float | None:
    """The p-value for `samples` (N, D) following the density along lines; `others` (M >= 2 N, D) are independent of
    them.

    None if the density has structure too fine for the finest grid.
    """
    directions = others[: len(samples)] - others[len(samples) : 2 * len(samples)]
    if not directions.any(dim=1).all():
        return 0.0  # repeated samples have no density
    coarse = _places(samples, directions, others, log_density, GRIDS[0])
    for grid in GRIDS[1:]:
        places = _places(samples, directions, others, log_density, grid)
        if (places - coarse).abs().mean() < GRID_ERROR:
            return _chi_square(torch.histc(places, BINS, 0, 1), torch.full((BINS,), len(samples) / BINS))
        coarse = places
    return None


def bridge_p_value(samples: Tensor, others: Tensor, log_density: LogDensity) -> float | None:
    """The p-value for `samples` (N, D) following the normalized density; `others` (M, D) are independent of them.

    None if the samples lie in an affine subspace, where p is not a density in D dimensions.
    """
    covariance = others.double().T.cov().reshape(others.shape[1], -1)
    spread = torch.linalg.eigvalsh(covariance)
    if spread[0] <= FLAT * spread[-1]:
        return None
    kernels = _Kernels(others[:CENTERS].double(), covariance)
    y = kernels.sample(len(samples)).to(samples.dtype)
    from_samples = torch.sigmoid(kernels.log_prob(samples) - log_density(samples).double())
    from_kernels = torch.sigmoid(log_density(y).double() - kernels.log_prob(y))
    difference = from_samples.mean() - from_kernels.mean()
    error = ((from_samples.var() + from_kernels.var()) / len(samples)).sqrt()
    deviation = float((difference / error).abs())
    return float(2 * norm.sf(deviation)) if math.isfinite(deviation) else 0.0  # the density is not a number


def frequencies_p_value(samples: Tensor, log_probability: LogDensity) -> float:
    """The p-value for `samples` (N, D) of a discrete distribution having its probabilities as frequencies.

    Unseen values, and those expected fewer than 5 times, are counted together. If they are expected often enough, they
    are tested with the others by chi-square, else by the Poisson distribution.
    """
    values, counts = samples.unique(dim=0, return_counts=True)
    expected = len(samples) * log_probability(values).double().exp()
    often = expected >= 5
    rest_seen, rest_expected = counts[~often].sum(), len(samples) - expected[often].sum()
    if not expected.all() or rest_expected < -1e-4 * len(samples):
        return 0.0  # an impossible value occurred, or the probabilities sum to more than 1
    seen, expected = counts[often].double(), expected[often]
    if rest_expected >= 5:
        return _chi_square(torch.cat([seen, rest_seen[None]]), torch.cat([expected, rest_expected[None]]))
    rare = float(poisson.sf(rest_seen.item() - 1, max(0.0, rest_expected.item())))
    return min(1.0, 2 * min(rare, _chi_square(seen, expected)))


def two_sample_p_value(first: Tensor, second: Tensor) -> float:
    """The p-value for two sets (N, D) and (M, D) having one distribution, by Kolmogorov-Smirnov on projections.

    The projections are the first 16 axes and 16 random directions; the p-value is corrected for their number.
    """
    size = first.shape[1]
    directions = torch.cat([torch.eye(size)[:16], torch.randn(16 if size > 1 else 0, size)]).double()
    pairs = zip((first.double() @ directions.T).T, (second.double() @ directions.T).T, strict=True)
    p_values = [float(ks_2samp(a.numpy(), b.numpy(), method="asymp").pvalue) for a, b in pairs]
    return min(1.0, len(p_values) * min(p_values))


def _chi_square(seen: Tensor, expected: Tensor) -> float:
    statistic = ((seen.double() - expected.double()).square() / expected.double()).sum()
    return float(chi2.sf(statistic.item(), max(1, len(seen) - 1)))


def _places(samples: Tensor, directions: Tensor, others: Tensor, log_density: LogDensity, grid: int) -> Tensor:
    """F(x, u) of each sample and direction, by the trapezoid rule: (N, D), (N, D) -> (N,)."""
    rows = max(1, POINTS_AT_ONCE // (2 * grid))
    parts = zip(samples.split(rows), directions.split(rows), strict=True)
    return torch.cat([_places_of_part(x, u, others, log_density, grid) for x, u in parts])


def _places_of_part(x: Tensor, u: Tensor, others: Tensor, log_density: LogDensity, grid: int) -> Tensor:
    t = _nodes(x, u, others, grid)
    points = x[:, None] + t[..., None].to(x.dtype) * u[:, None]
    log_p = log_density(points.flatten(0, 1)).double().view_as(t)
    p = (log_p - log_p.amax(dim=1, keepdim=True)).exp()
    pieces = (p[:, 1:] + p[:, :-1]) / 2 * t.diff(dim=1)
    below = pieces.where(t[:, 1:] <= 0, 0)
    return (below.sum(dim=1) / pieces.sum(dim=1)).nan_to_num(0)


def _nodes(x: Tensor, u: Tensor, others: Tensor, grid: int) -> Tensor:
    """Sorted positions t along each line x + t u: 0, half of the rest near samples, half evenly spaced."""
    unit = (u / u.square().sum(dim=1, keepdim=True)).double()
    projected = others[:NODES].double() @ unit.T - (x.double() * unit).sum(dim=1)
    dense = projected.quantile(torch.linspace(0, 1, grid, dtype=torch.double), dim=0).T
    low, high = dense[:, :1], dense[:, -1:]
    even = torch.linspace(-0.5, 1.5, grid, dtype=torch.double)
    zero = torch.zeros(len(x), 1, dtype=torch.double)
    return torch.cat([zero, dense, low + even * (high - low)], dim=1).sort(dim=1).values


class _Kernels:
    """A Gaussian kernel density estimate, with spherical kernels or the covariance's shape, whichever fits better."""

    def __init__(self, centers: Tensor, covariance: Tensor) -> None:
        """Centers (M, D) and their covariance (D, D).

        Shape and bandwidth maximize the mean likelihood of each center under the others.
        """
        self.centers = centers
        size = len(covariance)
        round_one = torch.eye(size, dtype=torch.double) * (covariance.trace() / size).sqrt()
        shapes = (torch.linalg.cholesky(covariance), round_one)
        scott = len(centers) ** (-1 / (size + 4))
        scales = [scott * 0.5**k * shape for k in range(HALVINGS) for shape in shapes]
        self.scale = max(scales, key=lambda scale: float(self._log_mean(centers, scale, others=True).mean()))

    def sample(self, count: int) -> Tensor:
        """Draw samples (count, D)."""
        chosen = self.centers[torch.randint(len(self.centers), (count,))]
        return chosen + torch.randn_like(chosen) @ self.scale.T

    def log_prob(self, points: Tensor) -> Tensor:
        """The log-density (N,) of points (N, D)."""
        return self._log_mean(points.double(), self.scale)

    def _log_mean(self, points: Tensor, scale: Tensor, others: bool = False) -> Tensor:
        """The log of the mean kernel at each point; with `others`, without the point's own center."""
        whiten = torch.linalg.inv(scale).T
        exponent = torch.cdist(points @ whiten, self.centers @ whiten).square() / -2
        if others:
            exponent.fill_diagonal_(-math.inf)
        factor = math.log(len(self.centers) - others) + scale.diagonal().log().sum()
        return exponent.logsumexp(dim=1) - factor - len(scale) / 2 * math.log(2 * math.pi)
