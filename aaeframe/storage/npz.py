"""Write .npz files with only some rows in memory at a time."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeAlias

import numpy as np

from aaeframe.storage.atomic import written_atomically


@dataclass(frozen=True, eq=False)
class Chunked:
    """An array given once, in chunks of rows."""

    shape: tuple[int, ...]
    dtype: np.dtype
    chunks: Iterable[np.ndarray]
    """(n, *shape[1:]) each, of this type."""


StoredArray: TypeAlias = np.ndarray | Chunked


def write_npz(path: Path, arrays: Mapping[str, StoredArray]) -> None:
    """Write arrays by name, compressed and atomically. RunError if the file cannot be written."""
    with written_atomically(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                _write(member, array)


def _write(file: IO[bytes], array: StoredArray) -> None:
    if isinstance(array, np.ndarray):
        np.lib.format.write_array(file, array, allow_pickle=False)
        return
    descr = np.lib.format.dtype_to_descr(array.dtype)
    np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": array.shape})
    for chunk in array.chunks:
        file.write(np.ascontiguousarray(chunk, array.dtype).data)
