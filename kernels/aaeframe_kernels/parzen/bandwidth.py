"""The bandwidth by cross-validation: the one with the highest likelihood of validation rows, over a grid in one
pass."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import torch
from torch import Tensor

from aaeframe_kernels.parzen.inputs import as_pixels, rows
from aaeframe_kernels.parzen.paths import Precision
from aaeframe_kernels.parzen.state import ParzenState

LEAST, POINTS = 0.08, 20
"""The least bandwidth of the default grid for data in [0, 1], and the number of bandwidths."""
RATIO: Final = 2**0.1
"""The ratio of neighbors in that grid. Five later is sqrt(2) times as much: there an exponential is another's root."""
MNIST_DEVIATION: Final = 0.26
"""The root mean square of the standard deviations of MNIST's pixels, for which that grid is made."""
MOST_MOVES: Final = 5
"""The largest number of times a grid is moved when its best value is at its edge."""


@dataclass(frozen=True)
class BandwidthChoice:
    """The result of a grid of bandwidths on validation rows."""

    bandwidth: float
    """The best bandwidth of the grid."""
    bandwidths: list[float]
    mean_log_likelihoods: list[float]
    """The mean over validation rows for each bandwidth, in nats."""

    @property
    def edge(self) -> Literal["least", "greatest"] | None:
        """The end of the grid at which the best value is; None if it lies between others, or is the only one."""
        ends = {min(self.bandwidths): "least", max(self.bandwidths): "greatest"}
        return ends.get(self.bandwidth) if len(self.bandwidths) > 1 else None  # type: ignore[return-value]

    @property
    def warning(self) -> str | None:
        """A sentence if a better bandwidth may lie outside the grid."""
        if self.edge is None:
            return None
        side = "below" if self.edge == "least" else "above"
        return (
            f"the best bandwidth, {self.bandwidth:.4g}, is the {self.edge} of the grid; a better one may lie {side} "
            "it: give a grid that reaches further"
        )


def default_bandwidths(x: Tensor) -> list[float]:
    """The default grid: 20 bandwidths from 0.08 to 0.299 for rows (N, *shape) in [0, 1], such as pixels.

    For other rows it is scaled by the root mean square standard deviation of their features, relative to MNIST's.
    ValueError if they hold NaN.
    """
    flat = as_pixels(rows(x, "x"))
    scale = 1.0
    if flat.dtype != torch.uint8 and bool((flat < 0).any() | (flat > 1).any()):
        deviation = flat.double().var(0, correction=0).mean().sqrt().item()
        if math.isnan(deviation):
            raise ValueError("no bandwidths suit x, which holds NaN; drop those rows, or give bandwidths")
        scale = deviation / MNIST_DEVIATION or 1.0
    return [scale * LEAST * RATIO**i for i in range(POINTS)]


def choose_bandwidth(state: ParzenState) -> BandwidthChoice:
    """The bandwidth with the highest likelihood of the state's validation rows. ValueError if that is NaN."""
    means = state.log_likelihood().mean(0).tolist()
    if any(map(math.isnan, means)):
        raise ValueError("no bandwidth can be chosen: validation rows or samples hold NaN; drop those rows")
    bandwidths = state.bandwidths.tolist()
    return BandwidthChoice(bandwidths[max(range(len(means)), key=means.__getitem__)], bandwidths, means)


def moved_grid(choice: BandwidthChoice) -> list[float]:
    """The grid moved beyond the edge where its best value is, which is then inside the new grid."""
    grid = sorted(choice.bandwidths)
    count, ratio = len(grid), (grid[-1] / grid[0]) ** (1 / (len(grid) - 1))
    first = grid[1] / ratio ** (count - 1) if choice.edge == "least" else grid[-2]
    return [first * ratio**i for i in range(count)]


def search_bandwidth(
    through: Callable[[list[float]], ParzenState], grid: Sequence[float], moves: int
) -> BandwidthChoice:
    """The best of a grid, moved at most `moves` times while its best value is at its edge.

    `through` makes a state of the validation rows with the given bandwidths, and adds all samples to it.
    """
    choice = choose_bandwidth(through(list(grid)))
    for _ in range(moves):
        if choice.edge is None:
            break
        choice = choose_bandwidth(through(moved_grid(choice)))
    return choice


def select_bandwidth(
    validation: Tensor,
    samples: Tensor | Iterable[Tensor],
    bandwidths: Sequence[float] | None = None,
    *,
    precision: Precision = "auto",
) -> BandwidthChoice:
    """The best of a grid for validation rows (N, *shape) under samples (M, *shape), in one tensor or in chunks.

    Without `bandwidths`, the grid is `default_bandwidths`. It is moved while its best value is at its edge, if the
    samples can be read again, so not if they are an iterator. `BandwidthChoice.warning` says if the best value is still
    at the edge.
    """
    chunks = [samples] if isinstance(samples, Tensor) else samples
    again = bandwidths is None and iter(chunks) is not chunks

    def through(grid: list[float]) -> ParzenState:
        state = ParzenState(validation, grid, precision=precision)
        for chunk in chunks:
            state.update(chunk)
        return state

    grid = default_bandwidths(validation) if bandwidths is None else bandwidths
    return search_bandwidth(through, grid, MOST_MOVES if again else 0)
