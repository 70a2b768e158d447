"""What every measure is computed on: rows of finite numbers."""

from __future__ import annotations

import torch
from torch import Tensor

from aaeframe.errors import DataError


def as_rows(x: Tensor, name: str) -> Tensor:
    """x (N, *shape), on any device and of any number type, as float64 rows (N, D) on the CPU.

    DataError if there is no row, or a number that is not finite; `name` says in the message what x is.
    """
    if x.ndim == 0 or x.numel() == 0:
        raise DataError(f"{name}: rows are needed, found a tensor of shape {tuple(x.shape)}; pass (N, D) with N > 0")
    rows = x.detach().to("cpu", torch.float64).reshape(len(x), -1)
    broken = (~rows.isfinite()).any(1).nonzero().squeeze(1)
    if len(broken):
        raise DataError(
            f"{name}: {len(broken)} of {len(rows)} rows hold numbers that are not finite, the first is row "
            f"{broken[0]}; a model that has diverged cannot be measured, take an earlier checkpoint"
        )
    return rows


def as_comparable_rows(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Two sets as rows of one length, (N, D) and (M, D); DataError if their rows differ in length."""
    first, second = as_rows(a, "the first set"), as_rows(b, "the second set")
    if first.shape[1] != second.shape[1]:
        raise DataError(
            f"only sets whose rows are as long can be compared, found {first.shape[1]} and {second.shape[1]} "
            "numbers a row; flatten both to (N, D)"
        )
    return first, second


def spread(x: Tensor, limit: int) -> Tensor:
    """At most `limit` rows of x, evenly spread from the first to the last, so that sorted data keep their
    range."""
    if len(x) <= limit:
        return x
    return x[torch.linspace(0, len(x) - 1, limit, dtype=torch.float64).round().long()]
