"""The identity of a data set, as a checkpoint keeps it, and what changed since."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from aaeframe.data.dataset import Dataset, Split

if TYPE_CHECKING:
    from hashlib import _Hash as Hash

MOST_BYTES: Final = 2**26
"""The number of bytes of a split that its digest reads; of a larger split it reads rows spread over it."""


def identity(dataset: Dataset) -> dict[str, Any]:
    """Name, shape, rows, columns, classes and a digest of each split; JSON-like."""
    parts = {"training": dataset.train, "validation": dataset.validation, "test": dataset.test}
    return {
        "name": dataset.name,
        "shape": list(dataset.spec.shape),
        "rows": {name: len(part) for name, part in parts.items()},
        "columns": None if dataset.columns is None else list(dataset.columns),
        "class_names": None if dataset.class_names is None else list(dataset.class_names),
        "digests": {name: digest(part) for name, part in parts.items()},
    }


def changes(known: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """The differences between two identities, one part of a sentence each."""
    found = [
        f"{count:,} {name} rows where there were {known['rows'][name]:,}"
        for name, count in now["rows"].items()
        if count != known["rows"][name]
    ]
    if known["shape"] != now["shape"]:
        found.append(f"rows of shape {tuple(now['shape'])} where it was {tuple(known['shape'])}")
    found += [f"other {key.replace('_', ' ')}" for key in ("columns", "class_names") if now[key] != known[key]]
    if not found:
        parts = [name for name, value in now["digests"].items() if value != known["digests"][name]]
        found += [f"other values, labels or another order in the {' and '.join(parts)} rows"] if parts else []
    return found


def digest(split: Split, most_bytes: int = MOST_BYTES) -> str:
    """A digest of a split's shape and labels, and of its rows: of all up to 64 MiB, of a spread of them beyond."""
    known = split.known
    if known is not None and known.labels is split.labels and most_bytes == MOST_BYTES:
        return known.digests[str(split.dtype)]
    found = digest_begun(len(split), split.shape, split.dtype)
    found.update(split.rows(digest_places(len(split), split.nbytes, most_bytes)).tobytes())
    if split.labels is not None:
        found.update(split.labels.tobytes())
    return found.hexdigest()


def digest_begun(count: int, shape: tuple[int, ...], dtype: np.dtype) -> Hash:
    """The digest of a split before its rows and labels."""
    return hashlib.sha256(str((count, shape, str(dtype))).encode())


def digest_places(count: int, nbytes: int, most_bytes: int = MOST_BYTES) -> np.ndarray:
    """The positions, rising, of the rows that a digest reads."""
    fitting = max(1, most_bytes * count // max(1, nbytes))
    return np.linspace(0, count - 1, min(fitting, count)).astype(np.int64)
