"""Codes and scores that do not depend on the other rows of a call.

Products of matrices of another height round otherwise. So rows are passed to a run in batches of one size, the last
one filled with zeros.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

import numpy as np

from aaeframe.anomaly import Kind
from aaeframe.runs.run import Run

SIZE: Final = 512
_Result = TypeVar("_Result")


def codes(run: Run, x: np.ndarray) -> dict[str, np.ndarray]:
    """The codes of rows (N, D) by block, each (N, size), float32."""
    found = in_batches(x, lambda rows: {name: z.flatten(1).cpu().numpy() for name, z in run.encode(rows).items()})
    return {name: np.concatenate([part[name] for part in found])[: len(x)] for name in found[0]}


def scores(run: Run, x: np.ndarray, kind: Kind = "density") -> np.ndarray:
    """The anomaly scores (N,) of rows (N, D), higher for odder ones."""
    return np.concatenate(in_batches(x, lambda rows: run.scores(rows, kind=kind)))[: len(x)]


def in_batches(x: np.ndarray, function: Callable[[np.ndarray], _Result]) -> list[_Result]:
    """The result of a function for each batch of rows."""
    return [function(_filled(x[start : start + SIZE])) for start in range(0, len(x), SIZE)]


def _filled(rows: np.ndarray) -> np.ndarray:
    if len(rows) == SIZE:
        return rows
    return np.concatenate([rows, np.zeros((SIZE - len(rows), *rows.shape[1:]), rows.dtype)])
