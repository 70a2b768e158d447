"""The .h5ad files of AnnData, whose rows stay in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np

from aaeframe.configuration.reading import ReadOptions
from aaeframe.data.raw import RawData
from aaeframe.data.readers.frames import annotated, foreign
from aaeframe.data.readers.shards import fingerprint
from aaeframe.data.sources import CHUNK_BYTES, StoredRows
from aaeframe.errors import DataError

USES: Final = frozenset({"label_key"})
"""The options that are used."""


def read(path: Path, options: ReadOptions) -> RawData:
    """The matrix `X` of an .h5ad file, its names of rows and columns, and the labels of a column of `obs`.

    `obs` and `var` are in memory; `X` stays in the file. Sparse rows become dense when they are read.

    DataError if anndata is missing, or the matrix is sparse by columns.
    """
    try:
        import anndata
    except ImportError as error:
        raise DataError(
            f"{path}: is read by anndata, which is not installed: pip install 'aaeframe[h5ad]', or convert it to .npy."
        ) from error
    with foreign(str(path)):
        data = anndata.read_h5ad(path, backed="r")
        return annotated(data, StoredRows(_Matrix(data, path)), options, str(path))


class _Matrix:
    """The rows of a backed AnnData."""

    def __init__(self, data: Any, path: Path) -> None:
        self._x, self._path = data.X, path
        kind = getattr(self._x, "format", "csr")
        if kind != "csr":
            raise DataError(
                f"{path}: X is sparse by columns ({kind}), in which rows cannot be read one by one. Write it again "
                "with data.X = data.X.tocsr()."
            )
        self.shape = tuple(map(int, self._x.shape))
        self.dtype = np.dtype(self._x.dtype)
        step = max(1, CHUNK_BYTES // max(1, self.shape[1] * self.dtype.itemsize))
        self.bounds = np.append(np.arange(0, self.shape[0], step), self.shape[0])
        self.fingerprint = fingerprint([path])

    def read(self, chunk: int) -> np.ndarray:
        """The rows of a chunk, dense."""
        with foreign(str(self._path)):
            found = self._x[int(self.bounds[chunk]) : int(self.bounds[chunk + 1])]
            return np.asarray(found.toarray() if hasattr(found, "toarray") else found)
