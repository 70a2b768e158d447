"""Sparse matrices as rows that become dense when they are read."""

from __future__ import annotations

from typing import Any

import numpy as np


class SparseRows:
    """The rows of a scipy sparse matrix (N, D). Indexing by an array or a slice gives dense rows.

    A batch is dense, the whole is not.
    """

    def __init__(self, matrix: Any) -> None:
        self._matrix = matrix.tocsr()
        self.shape: tuple[int, ...] = tuple(self._matrix.shape)
        self.dtype = np.dtype(self._matrix.dtype)
        self.ndim = len(self.shape)
        self.size = int(np.prod(self.shape))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> np.ndarray:
        if isinstance(index, tuple):  # one value, for a message
            return np.asarray(self._matrix[index])
        return np.asarray(self._matrix[index].toarray())

    def columns(self, places: list[int]) -> SparseRows:
        """The rows with the columns at these places alone."""
        return SparseRows(self._matrix[:, places])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self._matrix.toarray(), dtype)
