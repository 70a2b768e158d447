"""What computes: an engine prepared for x, and the partial state that it makes of one chunk of samples."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from torch import Tensor


class Partial(NamedTuple):
    """What one chunk of samples adds to the estimate, in float32 or float64, on any device.

    Distances are in the units of the data: pixels of uint8 count as value/255.
    """

    nearest: Tensor
    """(N,) least squared distance of each row of x to a sample of the chunk."""
    sums: Tensor
    """(N, S) sum over the chunk of exp(-(squared distance - nearest) / (2 h^2)), for each bandwidth h."""


class Engine(Protocol):
    """A way to compute partials, made ready for one x and its bandwidths."""

    @property
    def name(self) -> str:
        """What `ParzenState.paths` counts its samples under: int8x2, fp32, float64, fp16."""

    def accepts(self, chunk: Tensor) -> bool:
        """Whether it can serve this chunk, (C, D) of uint8 or floating point, as exactly as it promises."""

    def partial(self, chunk: Tensor) -> Partial:
        """The partial state of a chunk that it accepts. NaN in the chunk gives NaN everywhere, in a row of x there."""
