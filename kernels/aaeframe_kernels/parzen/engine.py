"""The engine interface, and the partial state that an engine computes from a chunk of samples."""

from __future__ import annotations

import math
from typing import NamedTuple, Protocol

import torch
from torch import Tensor


class Partial(NamedTuple):
    """The contribution of one chunk of samples to the estimate, in float32 or float64, on any device.

    Distances are in the units of the data: uint8 pixels stand for value/255.
    """

    nearest: Tensor
    """(N,) the smallest squared distance of each row of x to a sample of the chunk."""
    sums: Tensor
    """(N, S) the sum over the chunk of exp(-(squared distance - nearest) / (2 h^2)), for each bandwidth h."""

    def plus(self, other: Partial, rates: Tensor) -> Partial:
        """Both together, in float64 on this one's device: the smaller of both minima, and both sums converted to it.

        rates (S,) are 1 / (2 h^2), float64.
        """
        nearest, sums = other.nearest.double().to(self.nearest.device), other.sums.double().to(self.sums.device)
        least = torch.minimum(self.nearest, nearest)
        carried = _carried(self.sums, self.nearest - least, rates) + _carried(sums, nearest - least, rates)
        return Partial(least, carried)


def neutral(rows: int, bandwidths: int, device: torch.device) -> Partial:
    """The total before the first sample, float64."""
    nearest = torch.full((rows,), math.inf, dtype=torch.float64, device=device)
    return Partial(nearest, torch.zeros(rows, bandwidths, dtype=torch.float64, device=device))


def _carried(sums: Tensor, gap: Tensor, rates: Tensor) -> Tensor:
    """Convert sums (N, S) relative to a minimum to one smaller by gap (N,); 0 stays 0 where gap is infinite."""
    return sums * torch.exp(-gap[:, None] * rates)


class Engine(Protocol):
    """A way to compute partial states, prepared for one x and its bandwidths."""

    name: str
    """The name under which `ParzenState.paths` counts its samples: int8x2, fp32, float64, fp16."""
    rates: Tensor
    """The rate 1 / (2 h^2) for each bandwidth, (S,) float64 on x's device."""

    def accepts(self, chunk: Tensor) -> bool:
        """Whether it supports this chunk, (C, D) of uint8 or floating point, with its required accuracy."""

    def partial(self, chunk: Tensor) -> Partial:
        """The partial state of an accepted chunk. NaN in the chunk gives NaN everywhere, NaN in x in that row."""

    def defers(self, chunk: Tensor) -> bool:
        """Whether `add` itself can find out, on the device, if it accepts the chunk. If not, ask `accepts` before."""
        return False

    def add(self, total: Partial, chunk: Tensor, refused: Tensor | None = None) -> Partial:
        """The total with a chunk's contribution. Without `refused`, the chunk has been accepted.

        `refused` (1,) int32, for an engine that defers, becomes 1 for a chunk that it does not accept or that holds
        infinity; the result is then meaningless. It stays on the device: reading it waits for all work there.
        """
        return total.plus(self.partial(chunk), self.rates)
