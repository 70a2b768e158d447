"""The classifier two-sample test: can a small network distinguish two sets of rows?"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from aaeframe.errors import DataError
from aaeframe.evaluation.inputs import as_comparable_rows, spread
from aaeframe.training.optimizers import eager

MAX_ROWS: Final = 5_000
"""The largest number of rows used of each set, evenly spaced."""
FOLDS: Final = 5
"""The number of folds of the cross-validation; a set must have as many rows."""
HIDDEN: Final = 64
STEPS: Final = 800
BATCH: Final = 256
LEARNING_RATE: Final = 1e-2


@dataclass(frozen=True)
class TwoSample:
    """A classifier's accuracy at distinguishing two sets, on rows it was not trained on; 0.5 is chance."""

    accuracy: float
    standard_error: float
    """The binomial standard error sqrt(accuracy (1 - accuracy) / rows)."""


def classifier_two_sample(a: Tensor, b: Tensor, *, folds: int = FOLDS, generator: torch.Generator) -> TwoSample:
    """The cross-validated accuracy of a classifier between a (N, D) and b (M, D).

    The classifier has two hidden layers of 64 ReLU units. With one layer, it failed twice as often to distinguish a
    swiss roll from a Gaussian of the same moments. It is trained by Adam on rows standardized by its training folds.
    The sets are cut to one size, at most 5,000 rows, evenly spaced, so that 0.5 is chance. Folds are stratified and
    trained together. All randomness is from `generator`, on the CPU. DataError if a set has fewer rows than there are
    folds. Source: Lopez-Paz and Oquab, "Revisiting Classifier Two-Sample Tests", arXiv 1610.06545.
    """
    first, second = as_comparable_rows(a, b)
    size = min(len(first), len(second), MAX_ROWS)
    if size < folds:
        raise DataError(f"{folds} folds need {folds} rows of each set, found {len(first)} and {len(second)}")
    # An evaluation may run in inference mode, in which nothing can be trained.
    with torch.inference_mode(False), torch.enable_grad():
        x = torch.cat([spread(first, size), spread(second, size)]).float()
        y = torch.arange(2).repeat_interleave(size).float()
        fold = torch.cat([torch.randperm(size, generator=generator) % folds for _ in range(2)])
        right = _held_out_logits(x, y, fold, folds, generator).gt(0) == y.bool()
    accuracy = right.double().mean().item()
    return TwoSample(accuracy, math.sqrt(accuracy * (1 - accuracy) / len(right)))


def _held_out_logits(x: Tensor, y: Tensor, fold: Tensor, folds: int, generator: torch.Generator) -> Tensor:
    """The logit (N,) of each row of x (N, D), by the network trained on the other folds."""
    train = [(fold != k).nonzero().squeeze(1) for k in range(folds)]
    mean = torch.stack([x[rows].mean(0, keepdim=True) for rows in train])
    std = torch.stack([x[rows].std(0, keepdim=True) for rows in train])
    std = torch.where(std > 0, std, torch.ones_like(std))  # a constant column becomes zeros
    parameters = _initial([x.shape[1], HIDDEN, HIDDEN, 1], folds, generator)

    def minibatch() -> tuple[Tensor, Tensor]:
        draws = [rows[torch.randint(len(rows), (BATCH,), generator=generator)] for rows in train]
        index = torch.stack(draws)
        return (x[index] - mean) / std, y[index]

    _train(parameters, minibatch)
    with torch.no_grad():
        return _logits(parameters, (x - mean) / std)[fold, torch.arange(len(x))]


def _initial(sizes: list[int], folds: int, generator: torch.Generator) -> list[Tensor]:
    """Initial weights (folds, in, out) by He et al. and biases (folds, 1, out), layer by layer."""
    parameters = []
    for layer, (fan_in, fan_out) in enumerate(pairwise(sizes)):
        weight = torch.randn(folds, fan_in, fan_out, generator=generator) * math.sqrt(2 / fan_in)
        # Biases spread the kinks of the first layer over the data; without them all would be at its center.
        bias = torch.randn(folds, 1, fan_out, generator=generator) * float(layer == 0)
        parameters += [weight.requires_grad_(), bias.requires_grad_()]
    return parameters


def _logits(parameters: list[Tensor], x: Tensor) -> Tensor:
    """The logits (folds, N) of inputs (folds, N, D), each fold by its own network."""
    layers = list(zip(parameters[::2], parameters[1::2], strict=True))
    for weight, bias in layers[:-1]:
        x = torch.baddbmm(bias, x, weight).relu()
    weight, bias = layers[-1]
    return torch.baddbmm(bias, x, weight).squeeze(-1)


def _train(parameters: list[Tensor], minibatch: Callable[[], tuple[Tensor, Tensor]]) -> None:
    """Train by Adam with a learning rate that falls to zero along a cosine."""
    optimizer = eager(torch.optim.Adam)(parameters, lr=LEARNING_RATE, betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    for _ in range(STEPS):
        x, y = minibatch()
        # Summed over folds: each network has its own gradient, as if it were trained alone.
        loss = binary_cross_entropy_with_logits(_logits(parameters, x), y, reduction="sum") / BATCH
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
