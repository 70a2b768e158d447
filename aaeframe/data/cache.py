"""The cache folder, and the statistics and labels of sources in it, by a digest of their source."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from aaeframe.errors import RunError
from aaeframe.storage.atomic import write_atomically
from aaeframe.storage.formats import read_safetensors

DIGEST = "digest"
"""The name of the array with the digest of all others."""


def cache_folder() -> Path:
    """The folder of the system's cache in which downloads and statistics are kept."""
    import pooch

    return Path(pooch.os_cache("aaeframe"))


def read(key: str) -> dict[str, np.ndarray] | None:
    """The arrays that were kept under a key; None if there are none, or the file is damaged: it is written again."""
    path = _path(key)
    if not path.is_file():
        return None
    try:
        arrays = load(read_safetensors(path))
    except (OSError, ValueError, SafetensorError):
        return None
    digest = arrays.pop(DIGEST, None)
    return arrays if digest is not None and digest.tobytes() == _digest(arrays) else None


def write(key: str, arrays: Mapping[str, np.ndarray], name: str) -> None:
    """Keep arrays under a key. A Python warning says so if the cache folder cannot be written."""
    path, solid = _path(key), {name: np.ascontiguousarray(it) for name, it in arrays.items()}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, save({**solid, DIGEST: np.frombuffer(_digest(solid), np.uint8)}))
    except (OSError, RunError, SafetensorError) as error:
        warnings.warn(f"{name}: the statistics cannot be kept, so each run reads all rows first: {error}", stacklevel=2)


def _path(key: str) -> Path:
    return cache_folder() / "statistics" / f"{key}.safetensors"


def _digest(arrays: Mapping[str, np.ndarray]) -> bytes:
    found = hashlib.sha256()
    for name, it in sorted(arrays.items()):
        found.update(f"{name} {it.dtype} {it.shape}".encode() + it.tobytes())
    return found.digest()
