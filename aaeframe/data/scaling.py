"""The scaling of data for the model."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.distributions import constraints

from aaeframe.data.dataset import Split
from aaeframe.data.statistics import Range, moments
from aaeframe.protocols import DataSpec


def pixels(shape: Sequence[int], white: float) -> DataSpec:
    """The scale for values from 0 to `white`, mapped to [0, 1]."""
    zero, one = torch.zeros(()), torch.ones(())
    return DataSpec(torch.Size(shape), constraints.unit_interval, zero, one * white)


def fit(train: Split, values: Range) -> DataSpec:
    """The scale of a data set, from the range of all its values and the moments of its training rows.

    | data | support | mean, std |
    | --- | --- | --- |
    | uint8, images and tables | [0, 1] | 0, 255 |
    | all values within [0, 1] | [0, 1] | 0, 1 |
    | any other | real | of each feature over the training rows; std is 1 for a constant feature |
    """
    if train.dtype == "uint8":
        return pixels(train.shape, 255.0)
    if values.low >= 0.0 and values.high <= 1.0:
        return pixels(train.shape, 1.0)
    mean, std = (torch.from_numpy(moment).float() for moment in moments(train))
    return DataSpec(torch.Size(train.shape), constraints.real, mean, std)
