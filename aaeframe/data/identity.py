"""The identity of a data set, as a checkpoint keeps it, and what changed since."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from aaeframe.data.dataset import Dataset, Split

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
    fitting = max(1, most_bytes * len(split) // max(1, split.nbytes))
    rows = np.linspace(0, len(split) - 1, min(fitting, len(split))).astype(np.int64)
    found = hashlib.sha256(str((len(split), split.shape, str(split.dtype))).encode())
    found.update(split.rows(rows).tobytes())
    if split.labels is not None:
        found.update(split.labels.tobytes())
    return found.hexdigest()
