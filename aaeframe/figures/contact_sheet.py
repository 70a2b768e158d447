"""A look at data before it is trained on."""

from __future__ import annotations

import numpy as np
import torch
from matplotlib.figure import Figure
from torch.distributions import constraints

from aaeframe.data import Dataset, Split
from aaeframe.figures.images import GRID, samples


def contact_sheet(dataset: Dataset) -> Figure:
    """Plot training rows: images in a grid, class after class, other rows as lines.

    They are drawn by the scale of the data, so that a wrong scale shows.
    """
    shown = dataset.train.take(_chosen(dataset.train))
    x = (torch.from_numpy(shown.array()).double() - dataset.spec.mean) / dataset.spec.std
    units = ", scaled"
    if dataset.spec.support is constraints.unit_interval:
        x, units = x.clamp(0, 1), ""
    elif x.ndim > 3:
        x = (x - x.min()) / (x.max() - x.min() or 1.0)
    order = "" if shown.labels is None else ", class after class"
    return samples(x.float(), title=f"Training rows of {dataset.name}{order}{units}")


def _chosen(train: Split) -> np.ndarray:
    """The rows to draw: the first ones, or as many of each class as fill the grid."""
    most = GRID * GRID
    if train.labels is None:
        return np.arange(min(most, len(train)))
    classes = np.unique(train.labels)
    each = max(1, most // len(classes))
    chosen = [np.flatnonzero(train.labels == label)[:each] for label in classes]
    return np.concatenate(chosen)[:most]
