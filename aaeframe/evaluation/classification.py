"""Classification by q(y|x): its error, and its confidence."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from aaeframe.evaluation.inputs import as_labels, as_probabilities


@dataclass(frozen=True)
class Classification:
    """The class block of the codes as a classifier: its prediction is the most probable class."""

    error: float
    """Share of rows whose most probable class is not their label, in [0, 1]."""
    standard_error: float
    """The binomial standard error sqrt(error (1 - error) / rows): of these rows, not over trainings."""
    mean_confidence: float
    """The mean of max_k q(y_k|x), in [1/K, 1]; 1 - error if the probabilities are calibrated."""
    conditional_entropy: float
    """The mean of H(q(y|x)) in nats, in [0, log K]; 0 if every q(y|x) is one-hot."""
    rows: int
    """The number of rows classified."""

    def as_dict(self) -> dict[str, float]:
        """The numbers by name, for JSON."""
        return asdict(self)


def classification_report(y: Tensor, labels: Tensor) -> Classification:
    """Score y (N, K), the probabilities q(y|x) of K classes, against labels (N,) in 0 to K - 1.

    Among equally probable classes the first is the prediction. DataError if y is not made of probabilities, or the
    labels do not fit.
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
    """The mean of max_k q_k over rows of probabilities q (N, K)."""
    return q.amax(1).mean().item()


def conditional_entropy(q: Tensor) -> float:
    """The mean of H(q) in nats over rows of probabilities q (N, K), with 0 log 0 = 0."""
    return torch.special.entr(q).sum(1).mean().item()
