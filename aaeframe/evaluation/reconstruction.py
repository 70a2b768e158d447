"""Reconstruction error, with two baselines: the mean row and shuffled codes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Final, Protocol

import torch
from torch import Tensor

from aaeframe.errors import DataError
from aaeframe.losses.reconstruction import reconstruction_loss

CHUNK: Final = 4000
"""The number of rows compared at a time, or fewer if they are large."""
CHUNK_BYTES: Final = 2**26


class ByIndex(Protocol):
    """Rows accessed by their positions, as those of a tensor, and possibly read only then."""

    def __len__(self) -> int:
        """The number of rows."""

    def __getitem__(self, index: Tensor, /) -> Tensor:
        """The rows (B, *shape) at the positions (B,), which are on the CPU."""


@dataclass(frozen=True)
class ReconstructionReport:
    """Half squared errors, summed over features and averaged over rows, in the model's scaled units."""

    error: float
    mean_image_error: float
    """The error of predicting the mean of the training set for every row."""
    ratio: float | None
    """error / mean_image_error: below 1 if codes distinguish rows. None for constant data, where each row is the
    training mean."""
    shuffled_error: float | None
    """The error of the reconstructions in shuffled order; near `error` if the decoder ignores the code. None for a
    single row."""

    def as_dict(self) -> dict[str, float | None]:
        """The numbers by name, for JSON."""
        return asdict(self)


def reconstruction_error(x_hat: Tensor, x: Tensor) -> Tensor:
    """The error 0.5 E ||x_hat - x||² of x_hat and x (N, *shape), a scalar tensor in the units of x.

    DataError if shapes differ.
    """
    if x_hat.shape != x.shape or len(x) == 0:
        raise DataError(f"each row needs a reconstruction, found shapes {tuple(x_hat.shape)} for {tuple(x.shape)}")
    return reconstruction_loss(x_hat, x)


def mean_image_error(train_mean: Tensor, x: Tensor) -> Tensor:
    """The reconstruction error of predicting `train_mean` (*shape) for every row of x (N, *shape), a scalar tensor."""
    return reconstruction_error(train_mean.expand_as(x), x)


def reconstruction_report(
    x: ByIndex, x_hat: ByIndex, train_mean: Tensor, *, generator: torch.Generator
) -> ReconstructionReport:
    """Compare held-out rows x with their reconstructions x_hat, both (N, *shape), in the model's scaled units.

    A few thousand rows are read at a time, so that they need not be in memory. `train_mean` (*shape) is the mean of the
    training set in the same units. For the shuffled error, `generator` (on the CPU) puts rows in a random cycle. Each
    row gets the reconstruction of the previous one, never its own. DataError if shapes differ or there is no row.
    """
    if len(x_hat) != len(x):
        raise DataError(f"each row needs a reconstruction, found {len(x_hat)} for {len(x)} rows")
    rows = max(1, min(CHUNK, CHUNK_BYTES // (4 * train_mean.numel())))
    every, cycle = torch.arange(len(x)), torch.randperm(len(x), generator=generator)
    before = torch.empty_like(cycle).scatter_(0, cycle, cycle.roll(1))  # the row before each in the cycle
    sums = torch.zeros(3, dtype=torch.float64)
    for at in every.split(rows):  # in their order, in which rows of a file are read once
        real = x[at]
        errors = (
            reconstruction_error(x_hat[at], real),
            mean_image_error(train_mean, real),
            reconstruction_error(x_hat[before[at]], real),
        )
        sums += len(at) * torch.stack(errors).cpu().double()
    error, blind, shuffled = (sums / len(x)).tolist()
    ratio = error / blind if blind > 0 else None
    return ReconstructionReport(error, blind, ratio, shuffled if len(x) > 1 else None)
