"""The .h5ad files of AnnData, whose rows stay in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anndata
import numpy as np
from scipy.sparse import csr_array

from aaeframe.configuration.reading import ReadOptions
from aaeframe.data.raw import RawData
from aaeframe.data.readers.folders import fingerprint
from aaeframe.data.readers.frames import annotated
from aaeframe.data.sources import CHUNK_BYTES, StoredRows, foreign
from aaeframe.errors import DataError


def read(path: Path, options: ReadOptions) -> RawData:
    """The matrix `X` of an .h5ad file, its names of rows and columns, and the labels of a column of `obs`.

    `obs` and `var` are in memory; `X` stays in the file. Sparse rows become dense when they are read.

    DataError if the matrix is sparse by columns.
    """
    with foreign(str(path)):
        data = anndata.read_h5ad(path, backed="r")
        return annotated(data, StoredRows(_Matrix(data, path)), options, str(path))


class _Matrix:
    """The rows of a backed AnnData, whose file stays open."""

    def __init__(self, data: Any, path: Path) -> None:
        self._path, self._stored, self.files = path, data.file["X"], 1
        kind = getattr(data.X, "format", None)
        if kind not in (None, "csr"):
            raise DataError(
                f"{path}: X is sparse by columns ({kind}), in which rows cannot be read one by one. Write it again "
                "with data.X = data.X.tocsr()."
            )
        self._starts = None if kind is None else self._stored["indptr"][:]
        self.shape = tuple(map(int, data.shape))
        self.dtype = np.dtype(data.X.dtype)
        step = max(1, CHUNK_BYTES // max(1, self.shape[1] * self.dtype.itemsize))
        self.bounds = np.append(np.arange(0, self.shape[0], step), self.shape[0])

    @property
    def fingerprint(self) -> str:
        """A digest of the file that has this path now. Rows are those of the open file, even if another replaces it."""
        return fingerprint([self._path])

    def read(self, chunk: int) -> np.ndarray:
        """The rows of a chunk, dense."""
        first, stop = int(self.bounds[chunk]), int(self.bounds[chunk + 1])
        with foreign(str(self._path)):
            if self._starts is None:
                return np.asarray(self._stored[first:stop])
            # By anndata itself this fails with some versions of scipy.
            starts = self._starts[first : stop + 1]
            values, places = (self._stored[name][starts[0] : starts[-1]] for name in ("data", "indices"))
            rows = csr_array((values, places, starts - starts[0]), shape=(stop - first, self.shape[1]))
            return np.asarray(rows.toarray())
