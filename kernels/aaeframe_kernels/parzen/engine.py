"""The engine interface, and the partial state that an engine computes from a chunk of samples."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from torch import Tensor


class Partial(NamedTuple):
    """The contribution of one chunk of samples to the estimate, in float32 or float64, on any device.

    Distances are in the units of the data: uint8 pixels stand for value/255.
    """

    nearest: Tensor
    """(N,) the smallest squared distance of each row of x to a sample of the chunk."""
    sums: Tensor
    """(N, S) the sum over the chunk of exp(-(squared distance - nearest) / (2 h^2)), for each bandwidth h."""


class Engine(Protocol):
    """A way to compute partial states, prepared for one x and its bandwidths."""

    @property
    def name(self) -> str:
        """The name under which `ParzenState.paths` counts its samples: int8x2, fp32, float64, fp16."""

    def accepts(self, chunk: Tensor) -> bool:
        """Whether it supports this chunk, (C, D) of uint8 or floating point, with its required accuracy."""

    def partial(self, chunk: Tensor) -> Partial:
        """The partial state of an accepted chunk. NaN in the chunk gives NaN everywhere, NaN in x in that row."""
