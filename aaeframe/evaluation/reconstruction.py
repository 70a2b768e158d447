"""The reconstruction error, beside what it is worth nothing and beside what it must beat."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from aaeframe.errors import DataError
from aaeframe.losses import reconstruction_loss


@dataclass(frozen=True)
class ReconstructionReport:
    """Half squared errors, summed over features and averaged over rows, in the model's scaled units."""

    error: float
    mean_image_error: float
    """Of answering every row with the mean of the training set."""
    ratio: float | None
    """error / mean_image_error: below 1 if the codes tell the rows apart. None on constant data, where each row
    is the training mean and there is nothing to tell."""
    shuffled_error: float | None
    """Of answering every row with the reconstruction of another row; near `error` if the decoder ignores the
    code. None for a single row."""

    def as_dict(self) -> dict[str, float | None]:
        """Name to number, for JSON."""
        return asdict(self)


def reconstruction_error(x_hat: Tensor, x: Tensor) -> Tensor:
    """0.5 E ||x_hat - x||² of x_hat and x (N, *shape), a scalar tensor in the units of x; DataError if shapes
    differ."""
    if x_hat.shape != x.shape or len(x) == 0:
        raise DataError(f"each row needs a reconstruction, found shapes {tuple(x_hat.shape)} for {tuple(x.shape)}")
    return reconstruction_loss(x_hat, x)


def mean_image_error(train_mean: Tensor, x: Tensor) -> Tensor:
    """The reconstruction error on x (N, *shape) of answering `train_mean` (*shape) every time, a scalar
    tensor."""
    return reconstruction_error(train_mean.expand_as(x), x)


def reconstruction_report(
    x: Tensor, x_hat: Tensor, train_mean: Tensor, *, generator: torch.Generator
) -> ReconstructionReport:
    """Compares held-out rows x with their reconstructions x_hat, both (N, *shape), in the model's scaled
    units.

    `train_mean` (*shape) is the mean of the training set in the same units. For the shuffled error, rows are
    put in a random cycle (by `generator`, on the CPU) and each gets the reconstruction of the one before it,
    never its own. DataError if shapes differ or there is no row.
    """
    error = reconstruction_error(x_hat, x).item()
    blind = mean_image_error(train_mean, x).item()
    cycle = torch.randperm(len(x), generator=generator).to(x.device)
    shuffled = reconstruction_error(x_hat[cycle.roll(1)], x[cycle]).item() if len(x) > 1 else None
    return ReconstructionReport(error, blind, error / blind if blind > 0 else None, shuffled)
