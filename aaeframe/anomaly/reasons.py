"""The features that made a row odd: those with the largest standardized residuals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from aaeframe.anomaly.density import Density
from aaeframe.errors import ConfigError
from aaeframe.model.autoencoder import Autoencoder, Rows


@dataclass(frozen=True, eq=False)
class Reasons:
    """The features of each row that deviate most from what the model expects, the largest deviation first."""

    columns: np.ndarray
    """(N, count) their names."""
    deviations: np.ndarray
    """(N, count) the value less what is expected, in standard deviations of the training rows."""


def reasons(
    model: Autoencoder,
    x: Rows,
    density: Density,
    columns: Sequence[str] | None,
    count: int = 3,
    *,
    labels: Tensor | None = None,
) -> Reasons:
    """The `count` features with the largest standardized residuals of each row of a table (N, D).

    Features without names are called x_1, x_2 ... ConfigError as from `check_reasons`.
    """
    check_reasons(model, count)
    width = model.data_shape.numel()
    names = np.array(columns or [f"x_{k + 1}" for k in range(width)])
    places, values = [], []
    for batch in density.deviations(model, x, labels):
        largest = np.argsort(-np.abs(batch), axis=1, kind="stable")[:, :count]
        places.append(largest)
        values.append(np.take_along_axis(batch, largest, axis=1))
    return Reasons(names[np.concatenate(places)], np.concatenate(values))


def check_reasons(model: Autoencoder, count: int) -> None:
    """ConfigError for images and series, which have no columns, and for a count that is not from 1 to D."""
    if len(model.data_shape) != 1:
        raise ConfigError(
            f"reasons are columns of a table; rows of shape {tuple(model.data_shape)} have none: leave --reasons out"
        )
    width = model.data_shape.numel()
    if not 1 <= count <= width:
        raise ConfigError(
            f"{count} reasons were asked for (--reasons), and a row has {width} columns; give 1 to {width}"
        )
