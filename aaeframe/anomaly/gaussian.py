"""One Gaussian fitted to rows of which some may be odd: the covariance is refitted without the oddest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from aaeframe.errors import DataError

ROUNDS: Final = 3
"""The number of times that the Gaussian is refitted without the oddest rows."""
KEPT: Final = 0.9
"""The share of rows in each refit."""
FLAT: Final = 0.01
"""The smallest standard deviation of a feature. Without it, a rounding error of a constant one would be odd."""
SINGULAR: Final = 1e-6
"""The ratio of a covariance's least to its greatest eigenvalue up to which it is not of full rank."""


@dataclass(frozen=True, eq=False)
class Gaussian:
    """A Gaussian over rows (N, F), by the axes of its covariance in standardized features."""

    mean: np.ndarray
    """(F,)"""
    std: np.ndarray
    """(F,) the standard deviation of each feature, at least `FLAT`."""
    whitening: np.ndarray
    """(K, F) the axes of the covariance of (x - mean) / std, each divided by its standard deviation.

    A feature that hardly varies is an axis of its own."""
    axes: np.ndarray
    """(K,) the standard deviation along each axis."""
    rest: float
    """The variance in all directions beyond the axes; used if K < F."""

    def standardized(self, x: np.ndarray) -> np.ndarray:
        """The rows (N, F) as (x - mean) / std, float64."""
        found: np.ndarray = (x - self.mean) / self.std
        return found

    def distances(self, x: np.ndarray) -> np.ndarray:
        """The squared Mahalanobis distance (N,) of rows (N, F), float64."""
        return self._distances(self.standardized(x))

    def _distances(self, u: np.ndarray) -> np.ndarray:
        along = u @ self.whitening.T
        found: np.ndarray = np.einsum("nk,nk->n", along, along)
        if len(self.axes) < u.shape[1]:
            inside = along * self.axes
            beyond = np.einsum("nf,nf->n", u, u) - np.einsum("nk,nk->n", inside, inside)
            found += np.maximum(beyond, 0) / self.rest
        return found


def fit_gaussian(x: np.ndarray) -> Gaussian:
    """Fit mean and covariance to rows (N, F), then `ROUNDS` times to the `KEPT` share of least distance.

    A covariance that is not of full rank is shrunk towards a multiple of the identity, by Ledoit and Wolf's rule. A
    feature whose standard deviation is below `FLAT` is independent of the others, with that standard deviation.
    Raises DataError for fewer than two rows.
    """
    if len(x) < 2:
        raise DataError(f"a Gaussian needs two rows or more, found {len(x)}; train on more rows")
    found = _fit(x)
    for _ in range(ROUNDS):
        distances = found.distances(x)
        found = _fit(x[distances <= np.quantile(distances, KEPT)])
    return found


def _fit(x: np.ndarray) -> Gaussian:
    mean, spread = x.mean(0, dtype=np.float64), x.std(0, dtype=np.float64)
    std, varying = np.maximum(spread, FLAT), spread > FLAT
    axes, deviations, rest = _axes(((x - mean) / std)[:, varying])
    flat = np.flatnonzero(~varying)
    whitening = np.zeros((len(axes) + len(flat), len(mean)))
    whitening[: len(axes), varying] = axes / deviations[:, None]
    whitening[np.arange(len(axes), len(whitening)), flat] = 1
    return Gaussian(mean, std, whitening, np.concatenate([deviations, np.ones(len(flat))]), rest)


def _axes(u: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """The axes (K, F) of centered rows, the standard deviation (K,) along each, and the variance beyond them."""
    variances, axes = _principal(u)
    if len(variances) == u.shape[1] and (variances > SINGULAR * variances.max(initial=0)).all():
        return axes, np.sqrt(variances), 0.0
    from sklearn.covariance import ledoit_wolf_shrinkage  # importing scikit-learn takes a second

    shrinkage = float(ledoit_wolf_shrinkage(u, assume_centered=True))
    floor = max(shrinkage * float(np.einsum("nf,nf->", u, u)) / u.size, SINGULAR)
    return axes, np.sqrt((1 - shrinkage) * variances + floor), floor


def _principal(u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The variances (K,), rising, and the axes (K, F) of centered rows (N, F), by the smaller of the two products."""
    if len(u) > u.shape[1]:
        variances, axes = np.linalg.eigh(u.T @ u / len(u))
        return np.maximum(variances, 0), axes.T
    variances, weights = np.linalg.eigh(u @ u.T / len(u))
    used = variances > SINGULAR * variances[-1]
    variances, weights = variances[used], weights[:, used]
    return variances, (weights.T @ u) / np.sqrt(variances * len(u))[:, None]
