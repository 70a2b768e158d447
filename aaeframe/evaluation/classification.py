"""How often q(y|x) names the class, and how sure it is of it."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Final

import torch
from torch import Tensor

from aaeframe.errors import DataError
from aaeframe.evaluation.rows import as_rows

SUM_TOLERANCE: Final = 1e-2
"""How far from 1 a row of probabilities may sum: a softmax in bfloat16 is off by up to 0.4 %, logits by far more."""


@dataclass(frozen=True)
class Classification:
    """The class block of the codes as a classifier: its prediction is the most probable class."""

    error: float
    """Share of rows whose most probable class is not their label, in [0, 1]."""
    standard_error: float
    """sqrt(error (1 - error) / rows), the binomial one: of these rows, not of other trainings."""
    mean_confidence: float
    """E max_k q(y_k|x), in [1/K, 1]; 1 - error if the probabilities are calibrated."""
    conditional_entropy: float
    """E H(q(y|x)) in nats, in [0, log K]; 0 if every q(y|x) is one-hot."""
    rows: int
    """How many rows were classified."""

    def as_dict(self) -> dict[str, float]:
        """Name to number, for JSON."""
        return asdict(self)


def classification_report(y: Tensor, labels: Tensor) -> Classification:
    """Scores y (N, K), the probabilities q(y|x) of K classes, against labels (N,) in 0 to K - 1.

    Of equally probable classes the first is the prediction. DataError if y is not made of probabilities, or
    the labels do not fit.
    """
    q = as_probabilities(y)
    truth = as_labels(labels, len(q), num_classes=q.shape[1])
    error = (q.argmax(1) != truth).double().mean().item()
    return Classification(
        error=error,
        standard_error=math.sqrt(error * (1 - error) / len(q)),
        mean_confidence=mean_confidence(q),
        conditional_entropy=conditional_entropy(q),
        rows=len(q),
    )


def mean_confidence(q: Tensor) -> float:
    """E max_k q_k of rows of probabilities q (N, K)."""
    return q.amax(1).mean().item()


def conditional_entropy(q: Tensor) -> float:
    """E H(q) in nats of rows of probabilities q (N, K), 0 log 0 being 0."""
    return torch.special.entr(q).sum(1).mean().item()


def as_probabilities(y: Tensor) -> Tensor:
    """y (N, K) as float64 on the CPU; DataError if a row is not on the simplex, as logits are not."""
    if y.ndim != 2:
        raise DataError(f"the probabilities of K classes are needed for N rows, (N, K), found shape {tuple(y.shape)}")
    rows = as_rows(y, "y")
    outside = (rows < 0).any(1) | ((rows.sum(1) - 1).abs() > SUM_TOLERANCE)
    if outside.any():
        first = int(outside.nonzero()[0])
        raise DataError(
            f"each row of y is to be probabilities that sum to 1; {int(outside.sum())} of {len(rows)} rows are not, "
            f"row {first} holds numbers from {rows[first].min():.4g} that sum to {rows[first].sum():.4g}; "
            "pass q(y|x) after its softmax"
        )
    return rows


def as_labels(labels: Tensor, rows: int, *, num_classes: int | None = None) -> Tensor:
    """labels (N,) as int64 on the CPU; DataError unless they are one class index for each of `rows` rows.

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
            f"the classes {known}, found labels from {truth.min()} to {truth.max()}; score labeled rows only, "
            "with a model of as many classes as the data"
        )
    return truth
