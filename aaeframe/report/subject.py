"""One run as its report needs it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aaeframe.configuration.schema import Config
from aaeframe.data import Dataset, Split
from aaeframe.model.autoencoder import Autoencoder


@dataclass(frozen=True, eq=False)
class Subject:
    """A run with its data and its measurements."""

    name: str
    """Its name in the report."""
    config: Config
    model: Autoencoder
    dataset: Dataset
    """The data of the training."""
    split: str
    """The rows that are shown: "validation", "test" or "train"."""
    evaluation: Mapping[str, Any]
    """The report of `aaeframe.evaluation.evaluate` on this split."""
    metrics: Sequence[Mapping[str, Any]]
    """The metrics of the training, one row an epoch."""
    step: int
    """The number of training steps of the weights."""
    weights: str
    """The kind of the weights in words, as "moving average"."""
    finished: bool
    stopped: str | None = None
    """A sentence on early stopping; None if it did not happen."""
    category_names: Sequence[str] | None = None
    """The names of the model's categories if they are classes of the data; None for clusters."""
    informed: Sequence[str] = ()
    """The blocks whose discriminator takes labels."""
    accesses: Sequence[Mapping[str, Any]] = ()
    """The log of test accesses, one entry for each time that test rows were measured or plotted."""
    points: int | None = None
    """The largest number of rows in the explorer; None for as many as fit."""

    @property
    def rows(self) -> Split:
        """The rows of the split."""
        return self.dataset.split(self.split)

    @property
    def seed(self) -> int:
        """The seed of the training, from which random rows and samples are derived."""
        return self.config.training.seed
