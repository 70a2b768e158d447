"""A summary of what was read: JSON-like, and in a few lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import numpy as np

from aaeframe.data.dataset import Dataset, Split
from aaeframe.data.statistics import mean
from aaeframe.storage.text import plural

SHOWN: Final = 12
"""The number of classes and of columns that lines name one by one."""

KINDS: Final = {1: "a table of {} columns", 2: "series of {}", 3: "images of {}", 4: "volumes of {}"}
"""The kinds of rows by their number of axes."""


def summary(dataset: Dataset) -> dict[str, Any]:
    """A summary of a data set: rows, type and scale, classes with their counts, columns, and what was left out."""
    parts = {"training": dataset.train, "validation": dataset.validation, "test": dataset.test}
    return {
        "name": dataset.name,
        "rows": {name: len(part) for name, part in parts.items()},
        "shape": list(dataset.spec.shape),
        "dtype": dataset.reading.dtype,
        "scale": dataset.reading.scale,
        "classes": _classes(dataset, list(parts.values())),
        "labels": dataset.reading.labels,
        "unlabeled": {name: len(part) - len(part.labeled) for name, part in parts.items()},
        "ids": None if dataset.train.ids is None else [str(it) for it in dataset.train.ids[:3]],
        "columns": None if dataset.columns is None else list(dataset.columns),
        "left_out": list(dataset.reading.passed_over),
        **_storage(list(parts.values())),
    }


def _storage(parts: list[Split]) -> dict[str, Any]:
    """The number of chunks in which training rows are read, and of files, if the rows are in a source."""
    if not parts[0].is_stored:
        return {}
    stored: list[Any] = [it.data for it in parts]
    files = {id(it): it.files or 0 for it in stored}
    return {"files": sum(files.values()) or None, "chunks": len(parts[0].chunk_bounds) - 1}


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    """The summary in lines, without what does not apply."""
    rows = ", ".join(f"{count:,} {name}" for name, count in found["rows"].items())
    yield f"data      {found['name']}: {sum(found['rows'].values()):,} rows ({rows})"
    kind = KINDS.get(len(found["shape"]), "rows of {}")
    shape = kind.format(" x ".join(map(str, found["shape"])))
    yield f"rows      {shape.removesuffix('s') if found['shape'] == [1] else shape}, {found['dtype']}"
    if "chunks" in found:
        where = plural(found["files"], "file") if found["files"] else "their source"
        yield f"          they stay in {where}, and are read in {plural(found['chunks'], 'chunk')}"
    yield f"scale     {found['scale']}"
    if found["columns"] is not None:
        yield f"columns   {_some(found['columns'])}"
    if found["classes"] is not None:
        counts = [f"{name} ({count:,})" for name, count in found["classes"].items()]
        origin = f", from {found['labels']}" if found["labels"] else ""
        yield f"classes   {len(counts)}{origin}: {_some(counts)}"
        if missing := sum(found["unlabeled"].values()):
            yield f"          {missing:,} rows have no label"
    if found["ids"] is not None:
        yield f"ids       {', '.join(found['ids'])}, ..."
    for phrase in found["left_out"]:
        yield f"left out  {phrase}"


def columns(rows: Split, names: tuple[str, ...] | None) -> list[dict[str, Any]]:
    """Least, mean, greatest and number of different values of each column of a table, over these rows.

    Different values of rows in a source are not counted: the number is None.
    """
    names = names or tuple(str(i + 1) for i in range(rows.shape[0]))
    found: Iterable[tuple[Any, Any, Any, int | None]]
    if (known := rows.known) is not None:
        found = zip(known.low, mean(rows), known.high, [None] * len(names), strict=True)
    else:
        found = ((it.min(), it.mean(dtype=np.float64), it.max(), len(np.unique(it))) for it in rows.array().T)
    return [
        {"column": name, "least": float(least), "mean": float(center), "greatest": float(most), "different": different}
        for name, (least, center, most, different) in zip(names, found, strict=True)
    ]


def _classes(dataset: Dataset, parts: list[Split]) -> dict[str, int] | None:
    """The number of rows of each class, by its name; None without labels."""
    if dataset.class_names is None:
        return None
    counts = np.zeros(len(dataset.class_names), np.int64)
    for part in parts:
        if part.labels is not None:
            counts += np.bincount(part.labels[part.labels >= 0], minlength=len(counts))
    return dict(zip(dataset.class_names, counts.tolist(), strict=True))


def _some(names: list[str]) -> str:
    more = f", and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
