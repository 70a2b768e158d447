"""Reconstruction, likelihood and classification losses."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor


def reconstruction_loss(x_hat: Tensor, x: Tensor) -> Tensor:
    """Half the squared Euclidean error, summed over a row's features and averaged over rows: 0.5 E ||x_hat - x||²."""
    return row_errors(x_hat, x).mean()


def row_errors(x_hat: Tensor, x: Tensor) -> Tensor:
    """Half the squared Euclidean error of each row (N,), summed over its features."""
    return 0.5 * (x_hat - x).square().flatten(1).sum(1)


def negative_log_likelihood(x_hat: Tensor, x: Tensor, likelihood: Literal["bernoulli", "gaussian"]) -> Tensor:
    """The mean of -log p(x | x_hat) in nats, summed over a row's features and averaged over rows.

    "bernoulli" for x in [0, 1] (N, *shape), x_hat the means; "gaussian" with variance 1. The Bernoulli gradient
    vanishes where a mean is rounded to 1, as a sigmoid is from about 17 on.
    """
    if likelihood == "gaussian":
        return reconstruction_loss(x_hat, x) + 0.5 * math.log(2 * math.pi) * x[0].numel()
    chance = x_hat.float()
    return -(x * log_of(chance) + (1 - x) * log_of(1 - chance)).flatten(1).sum(1).mean()


def log_of(y: Tensor) -> Tensor:
    """The logarithm of probabilities, bounded below by that of the smallest normal float32, about -87."""
    return y.clamp_min(torch.finfo(torch.float32).tiny).log()


def classification_loss(y: Tensor, labels: Tensor) -> Tensor:
    """The cross-entropy -E log q(y = label | x), in nats, of y (N, K) on the simplex and labels (N,).

    It takes probabilities, because every encoder gives those and not logits. The gradient of a softmax through its
    logarithm is exact down to probabilities of 1e-38.
    """
    return -log_of(y).gather(1, labels.unsqueeze(1)).mean()
