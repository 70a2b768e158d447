"""Maps: codes of a block in a plane."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from aaeframe.report.pictures import Json


@dataclass(frozen=True, eq=False)
class LatentMap:
    """A plane through the codes of one block: a code z is at (z - mean) axes^T."""

    key: str
    """The block, or the representation."""
    codes: np.ndarray
    """(N, D), float64."""
    mean: np.ndarray
    """(D,), float64."""
    axes: np.ndarray
    """(1 or 2, D), float64, orthonormal rows."""
    names: tuple[str, str]
    """The names of the axes."""
    low: np.ndarray
    """(2,) the lowest coordinates of most codes and prior samples."""
    high: np.ndarray

    def codes_at(self, places: np.ndarray) -> np.ndarray:
        """The codes (K, D) at places (K, 2) of the plane."""
        return np.asarray(self.mean + places[:, : len(self.axes)] @ self.axes)

    def as_dict(self) -> Json:
        """The map for the page; codes are not part of it."""
        return {
            "key": self.key,
            "mean": self.mean.tolist(),
            "axes": self.axes.tolist(),
            "names": list(self.names),
            "low": self.low.tolist(),
            "high": self.high.tolist(),
        }


def map_of(key: str, codes: Tensor, prior: Tensor) -> LatentMap:
    """The map of codes (N, D) and prior samples (M, D).

    One and two dimensions are shown as they are. More are projected on the two principal axes of the codes.
    """
    z, samples = codes.double().numpy(), prior.double().numpy()
    size = z.shape[1]
    if size <= 2:
        mean, axes = np.zeros(size), np.eye(size)
        names = ("z", "") if size == 1 else (f"{key}[1]", f"{key}[2]")
    else:
        mean = z.mean(0)
        variance, vectors = np.linalg.eigh((z - mean).T @ (z - mean))  # ascending
        share = variance[::-1] / max(variance.sum(), np.finfo(float).tiny)
        axes = vectors[:, :-3:-1].T
        shares = [f"principal axis ({part:.0%} of the variance)" for part in share[:2]]
        names = (f"first {shares[0]}", f"second {shares[1]}")
    flat = np.concatenate([(it - mean) @ axes.T for it in (z, samples)])
    low, high = np.quantile(flat, [0.005, 0.995], axis=0)
    if size == 1:
        low, high = np.append(low, -1.0), np.append(high, 1.0)
    return LatentMap(key, z, mean, axes, names, low, np.where(high > low, high, low + 1))
