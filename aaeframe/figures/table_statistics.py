"""Reconstruction error of each column of a table, and its correlation with each code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from aaeframe.data import Split
from aaeframe.evaluation.class_reports import decoder_labels
from aaeframe.figures.canvas import as_array
from aaeframe.model.autoencoder import Autoencoder


@dataclass(frozen=True, eq=False)
class ColumnStatistics:
    """Numbers of each column over some rows."""

    errors: np.ndarray
    """(D,) the mean squared error over the column's variance; NaN for a constant column."""
    correlations: Mapping[str, np.ndarray]
    """(K, D) of the dimensions of each block; NaN where either is constant."""


def column_statistics(model: Autoencoder, x: Split, codes: Mapping[str, Tensor]) -> ColumnStatistics:
    """The statistics of rows x (N, D), a few at a time, and of their codes (N, ...) by block."""
    count, (width,) = len(x), model.data_shape
    scaled = {name: _standardized(as_array(z).reshape(count, -1)) for name, z in codes.items()}
    error, total, square = (np.zeros(width) for _ in range(3))
    cross = {name: np.zeros((z.shape[1], width)) for name, z in scaled.items()}
    # Sums of squares far from zero would lose digits.
    shift = x.rows(np.arange(min(count, model.batch_size))).astype(np.float64).mean(0)
    for start in range(0, count, model.batch_size):
        at = np.arange(start, min(start + model.batch_size, count))
        part = x.take(at)
        rows = part.array().astype(np.float64)
        error += ((rows - as_array(model.reconstruct(part, decoder_labels(model, part)))) ** 2).sum(0)
        rows -= shift
        total, square = total + rows.sum(0), square + (rows**2).sum(0)
        for name, z in scaled.items():
            cross[name] += z[at].T @ rows
    mean = total / count
    variance = square / count - mean**2
    variance = np.where(variance > 1e-12 * (mean**2 + square / count), variance, np.nan)
    return ColumnStatistics(
        error / count / variance, {name: sums / count / np.sqrt(variance) for name, sums in cross.items()}
    )


def _standardized(z: np.ndarray) -> np.ndarray:
    centered, std = z - z.mean(0), z.std(0)
    return centered / np.where(std > 0, std, np.nan)
