"""Checks of a prior with labeled samples."""

from __future__ import annotations

import torch

from aaeframe.testing.case import FALSE_ALARM, require, seeded
from aaeframe.testing.goodness_of_fit import two_sample_p_value
from aaeframe.testing.priors import SHAPES, PriorCase


@seeded
def check_labels(case: PriorCase) -> None:
    """`sample_labeled(S)` has values S + event_shape and int64 labels S in [0, num_classes)."""
    prior = case.build()
    for shape in SHAPES:
        value, labels = prior.sample_labeled(shape)
        expected = shape + prior.event_shape
        require(value.shape == expected, f"labeled values must have shape {tuple(expected)}, not {tuple(value.shape)}")
        require(labels.shape == shape, f"labels must have shape {tuple(shape)}, not {tuple(labels.shape)}")
        require(labels.dtype == torch.int64, f"labels must be int64, not {labels.dtype}")
    _, labels = prior.sample_labeled(torch.Size([1000]))
    low, high = int(labels.min()), int(labels.max())
    require(low >= 0 and high < prior.num_classes, f"labels must be in [0, {prior.num_classes}), found {low} to {high}")


@seeded
def check_label_classes(case: PriorCase) -> None:
    """Every class occurs among 1000 samples per class."""
    prior = case.build()
    _, labels = prior.sample_labeled(torch.Size([1000 * prior.num_classes]))
    missing = sorted(set(range(prior.num_classes)) - set(labels.tolist()))
    require(not missing, f"of num_classes = {prior.num_classes} classes these never occur: {missing}")


@seeded
def check_label_marginal(case: PriorCase) -> None:
    """The values of `sample_labeled` have the distribution of `sample`."""
    prior = case.build()
    shape = torch.Size([20_000])
    plain, labeled = prior.sample(shape).detach(), prior.sample_labeled(shape).value.detach()
    p_value = two_sample_p_value(plain.reshape(len(plain), -1), labeled.reshape(len(labeled), -1))
    require(p_value >= FALSE_ALARM, f"sample_labeled and sample differ in distribution (p-value {p_value:.1e})")
