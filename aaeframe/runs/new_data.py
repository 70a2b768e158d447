"""Rows that a run has not seen: read as its training data was, and brought to its columns and classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from aaeframe.configuration.reading import ReadOptions
from aaeframe.configuration.schema import Config
from aaeframe.data import AllRows, Split, load_rows
from aaeframe.data.columns import Known
from aaeframe.data.read import usable
from aaeframe.errors import DataError

OPTIONAL = ("label_key", "ids", "drop")
"""Options of the training that new data need not follow: it may lack these columns."""


def load_new(
    source: str | Path,
    config: Config,
    known: Mapping[str, Any],
    means: np.ndarray,
    *,
    label_key: str | None = None,
    ids: str | None = None,
) -> AllRows:
    """All rows of a source, read with the options of a run; the columns of a table are those of its training.

    Args:
        source: a name or a path.
        config: the configuration of the run.
        known: the identity of its training data.
        means: the mean of each column in training, for missing values.
        label_key: the labels of this source, if they have another name.
        ids: the names of its rows, likewise.

    Raises DataError for columns that are missing or unknown.
    """
    given = {name: value for name, value in (("label_key", label_key), ("ids", ids)) if value is not None}
    options = usable(source, config.data.reading).model_copy(update=given)
    as_known = Known(means, known["columns"])
    return _load(source, options, as_known, [name for name in OPTIONAL if name not in given])


def with_classes(found: AllRows, class_names: Sequence[str] | None, where: str) -> Split:
    """The rows with the class indices of a run. DataError for a class that the run does not have."""
    if found.rows.labels is None or found.class_names is None or class_names is None:
        return found.rows
    unknown = [name for name in found.class_names if name not in class_names]
    if unknown:
        raise DataError(
            f"{where}: the run has the classes {', '.join(class_names[:12])}, but these rows have "
            f"{', '.join(unknown[:12])} too; name other labels by --label-key, or leave these rows out"
        )
    places = np.array([*(class_names.index(name) for name in found.class_names), -1])
    return replace(found.rows, labels=places[found.rows.labels])


def _load(source: str | Path, options: ReadOptions, known: Known, optional: Sequence[str]) -> AllRows:
    """Load with all options of the training, or without those that the source cannot follow."""
    try:
        return load_rows(source, options, known=known)
    except DataError:
        for count in range(1, len(optional) + 1):
            fewer = options.model_copy(update=dict.fromkeys(optional[:count]))
            try:
                found = load_rows(source, fewer, known=known)
            except DataError:
                continue
            unused = [f"data.{name}" for name in optional[:count] if name in options.given]
            note = f"what the run reads by {', '.join(unused)}, which is not here"
            return replace(found, reading=replace(found.reading, passed_over=(*found.reading.passed_over, note)))
        raise
