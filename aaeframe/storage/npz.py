"""Write .npz and .npy files with only some rows in memory at a time."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import IO, TypeAlias

import numpy as np


@dataclass(frozen=True, eq=False)
class Chunked:
    """An array given once, in chunks of rows."""

    shape: tuple[int, ...]
    dtype: np.dtype
    chunks: Iterable[np.ndarray]
    """(n, *shape[1:]) each, of this type."""


StoredArray: TypeAlias = np.ndarray | Chunked


def write_npz(file: IO[bytes], arrays: Mapping[str, StoredArray]) -> None:
    """Write arrays by name, compressed. The file need not be seekable."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                write_npy(member, array)


def write_npy(file: IO[bytes], array: StoredArray) -> None:
    """Write one array as .npy."""
    if isinstance(array, np.ndarray):
        np.lib.format.write_array(file, array, allow_pickle=False)
        return
    descr = np.lib.format.dtype_to_descr(array.dtype)
    np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": array.shape})
    for chunk in array.chunks:
        file.write(np.ascontiguousarray(chunk, array.dtype).data)
