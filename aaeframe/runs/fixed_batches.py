"""Codes and scores of a row that do not depend on the other rows of a call.

Products of matrices of another height round otherwise. So rows are computed in batches of one size, the last one
filled with zeros. On some CPUs (AVX2) products of few columns also round by where a row lies in memory: there the last
bit of a result may depend on the row's place in its batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import torch
from torch import Tensor

from aaeframe import anomaly
from aaeframe.anomaly import Density, Kind
from aaeframe.model.autoencoder import Autoencoder
from aaeframe.runs.anomaly import AnomalyScorer
from aaeframe.runs.run import Run, warn
from aaeframe.torch_state import default_state

SIZE: Final = 512
"""The rows of a batch; fewer where a model takes fewer at once."""


@default_state()
def codes(run: Run, x: np.ndarray) -> dict[str, np.ndarray]:
    """The codes of rows (N, *shape) by block, each (N, size), float32."""
    found = [run.encode(rows) for rows, _ in _batches(run.model, x)]
    return {name: torch.cat([it[name].flatten(1) for it in found]).cpu().numpy()[: len(x)] for name in found[0]}


@default_state()
def scores(
    run: Run, x: np.ndarray, kind: Kind = "density", *, density: Density | None = None, labels: np.ndarray | None = None
) -> np.ndarray:
    """The anomaly scores (N,) of rows (N, *shape), higher for odder ones: see `aaeframe.anomaly.scores`.

    The density is that of the run, if none is given.
    """
    if kind == "density" and density is None:
        density = AnomalyScorer(run, warn).density()
    parts = _batches(run.model, x, labels)
    found = [anomaly.scores(run.model, rows, kind, labels=it, density=density) for rows, it in parts]
    return np.concatenate(found)[: len(x)]


def _batches(
    model: Autoencoder, x: np.ndarray, labels: np.ndarray | None = None
) -> Iterator[tuple[np.ndarray, Tensor | None]]:
    """Batches of rows, each with the labels of its rows, all of one size."""
    size = min(SIZE, model.batch_size)
    for start in range(0, max(len(x), 1), size):  # one batch of zeros for no rows, as the results have shapes
        part = slice(start, start + size)
        yield _filled(x[part], size), None if labels is None else torch.from_numpy(_filled(labels[part], size))


def _filled(rows: np.ndarray, size: int) -> np.ndarray:
    if len(rows) == size:
        return rows
    return np.concatenate([rows, np.zeros((size - len(rows), *rows.shape[1:]), rows.dtype)])
