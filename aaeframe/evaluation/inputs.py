"""Checked inputs of measures: rows of finite numbers or probabilities, and labels."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from aaeframe.errors import DataError

SUM_TOLERANCE: Final = 1e-2
"""The largest deviation of a row's sum from 1. A bfloat16 softmax deviates up to 0.4 %, logits far more."""


def as_rows(x: Tensor, name: str) -> Tensor:
    """Convert x (N, *shape), on any device and of any number type, to float64 rows (N, D) on the CPU.

    DataError if there is no row, or a number that is not finite; `name` describes x in the message.
    """
    if x.ndim == 0 or x.numel() == 0:
        raise DataError(f"{name}: rows are needed, found a tensor of shape {tuple(x.shape)}; pass (N, D) with N > 0")
    rows = x.detach().to("cpu", torch.float64).reshape(len(x), -1)
    broken = (~rows.isfinite()).any(1).nonzero().squeeze(1)
    if len(broken):
        raise DataError(
            f"{name}: {len(broken)} of {len(rows)} rows hold numbers that are not finite, the first is row "
            f"{broken[0]}. A model that has diverged cannot be measured, use an earlier checkpoint"
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


def as_probabilities(y: Tensor) -> Tensor:
    """Convert y (N, K) to float64 on the CPU; DataError if a row is not on the simplex, for example logits."""
    if y.ndim != 2:
        raise DataError(f"the probabilities of K classes are needed for N rows, (N, K), found shape {tuple(y.shape)}")
    rows = as_rows(y, "y")
    outside = (rows < 0).any(1) | ((rows.sum(1) - 1).abs() > SUM_TOLERANCE)
    if outside.any():
        first = int(outside.nonzero()[0])
        raise DataError(
            f"each row of y must be probabilities that sum to 1; {int(outside.sum())} of {len(rows)} rows are not. "
            f"Row {first} holds numbers from {rows[first].min():.4g} that sum to {rows[first].sum():.4g}. "
            "Pass q(y|x) after its softmax"
        )
    return rows


def as_labels(labels: Tensor, rows: int, *, num_classes: int | None = None) -> Tensor:
    """Convert labels (N,) to int64 on the CPU; DataError unless there is one class index for each of `rows` rows.

    Without `num_classes`, every index from 0 on is a class.
    """
    if labels.is_floating_point() or labels.is_complex():
        raise DataError(f"labels are class indices, found {labels.dtype}; pass integers")
    if labels.shape != (rows,):
        raise DataError(f"one label for each of {rows} rows is needed, found labels of shape {tuple(labels.shape)}")
    truth = labels.detach().to("cpu", torch.int64)
    if truth.min() < 0 or (num_classes is not None and truth.max() >= num_classes):
        known = "are counted from 0" if num_classes is None else f"are 0 to {num_classes - 1}"
        raise DataError(
            f"the classes {known}, found labels from {truth.min()} to {truth.max()}. Score labeled rows only, "
            "with a model or a prior of as many classes as the data"
        )
    return truth


def spread(x: Tensor, limit: int) -> Tensor:
    """At most `limit` rows of x, evenly spaced from the first to the last, so that sorted data keep their range."""
    if len(x) <= limit:
        return x
    return x[torch.linspace(0, len(x) - 1, limit, dtype=torch.float64).round().long()]
