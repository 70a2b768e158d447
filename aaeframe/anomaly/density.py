"""The density kind of score: one Gaussian on the residual and the code of a row together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor

from aaeframe.anomaly.gaussian import Gaussian, fit_gaussian
from aaeframe.data import Split
from aaeframe.errors import DataError
from aaeframe.evaluation.class_reports import decoder_labels
from aaeframe.evaluation.inputs import as_rows
from aaeframe.model.autoencoder import Autoencoder, Rows, as_indices
from aaeframe.protocols import Code
from aaeframe.supports import is_one_hot

CELLS: Final = 2**23
"""The greatest number of features times rows that the Gaussian is fitted to: 64 MiB. More rows are thinned evenly."""


@dataclass(frozen=True, eq=False)
class Density:
    """A Gaussian fitted to the residuals and codes of training rows."""

    gaussian: Gaussian
    """Its first features are the residuals x_hat - x, (D,) in the model's units; the codes follow."""
    training: np.ndarray
    """(M,) the scores of the rows that it was fitted to, rising."""

    def scores(self, model: Autoencoder, x: Rows, labels: Tensor | None = None) -> np.ndarray:
        """The squared Mahalanobis distance (N,) of the residual and code of each row; higher is odder.

        `labels` (N,) are for a decoder that takes them. DataError for rows that are not of the model's shape.
        """
        return np.concatenate([self.gaussian.distances(it) for it in features(model, x, labels)])

    def deviations(self, model: Autoencoder, x: Rows, labels: Tensor | None = None) -> Iterator[np.ndarray]:
        """The standardized residuals (B, D) of rows in batches: x less what is expected, in standard deviations."""
        size = model.data_shape.numel()
        for batch in features(model, x, labels):
            yield -self.gaussian.standardized(batch)[:, :size]


def fit_density(model: Autoencoder, rows: Split) -> Density:
    """Fit the Gaussian to training rows, thinned to what `CELLS` allows.

    Raises DataError for fewer than two rows, or for rows without the labels that the decoder takes.
    """
    some = thinned(rows, CELLS // _width(model))
    found = np.concatenate([*features(model, some, decoder_labels(model, some))])
    gaussian = fit_gaussian(found)
    return Density(gaussian, np.sort(gaussian.distances(found)))


def thinned(rows: Split, most: int) -> Split:
    """At most `most` rows, evenly spaced from the first to the last; at least two, if there are two."""
    count = min(len(rows), max(2, most))
    return rows if count == len(rows) else rows.take(np.linspace(0, len(rows) - 1, count).astype(np.int64))


def features(model: Autoencoder, x: Rows, labels: Tensor | None = None) -> Iterator[np.ndarray]:
    """The residual and the code of rows in batches, (B, F) float64. One-hot blocks are left out of the code.

    Their probabilities are nearly 0 or 1, far from any Gaussian; what a wrong category costs is in the residual.
    DataError if a number is not finite.
    """
    for residual, code in residuals(model, x, labels):
        parts = [residual, *(code[name].flatten(1) for name in numeric_blocks(model))]
        yield as_rows(torch.cat(parts, dim=1), "residual and code").numpy()


@torch.no_grad()
def residuals(model: Autoencoder, x: Rows, labels: Tensor | None = None) -> Iterator[tuple[Tensor, Code]]:
    """The residual x_hat - x (B, D) in the model's units, and the code without noise, of rows in batches."""
    labels = None if labels is None else as_indices(labels)
    if labels is not None and labels.shape != (len(x),):
        raise DataError(f"a label for each of {len(x)} rows is needed, found labels of shape {tuple(labels.shape)}")
    start = 0
    for rows in model.batches(x):
        code = model.encode(rows)
        part = None if labels is None else labels[start : start + len(rows)]
        x_hat = model.decoder(model.represent(code, part))
        yield (x_hat - model.scale(rows)).flatten(1), code
        start += len(rows)


def numeric_blocks(model: Autoencoder) -> list[str]:
    """The names of the blocks that are not one-hot."""
    return [name for name, prior in model.priors.items() if not is_one_hot(prior.support)]


def _width(model: Autoencoder) -> int:
    sizes = (torch.Size(model.priors[name].event_shape).numel() for name in numeric_blocks(model))
    return model.data_shape.numel() + sum(sizes)
