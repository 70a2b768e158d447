"""Rows that a run has not seen: read as its training data was, and brought to its columns and classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from aaeframe.configuration.reading import ReadOptions
from aaeframe.configuration.schema import Config
from aaeframe.data import AllRows, Dataset, Split
from aaeframe.data.columns import Known
from aaeframe.data.read import name_of, usable
from aaeframe.errors import DataError, MissingName

OPTIONAL = ("label_key", "ids", "drop")
"""Options of the training that name what new data may lack."""
Loaded = TypeVar("Loaded", AllRows, Dataset)


def load_new(
    load: Callable[..., Loaded],
    source: Any,
    config: Config,
    known: Mapping[str, Any],
    means: np.ndarray,
    *,
    label_key: str | None = None,
    ids: str | None = None,
) -> Loaded:
    """Load a source with the options of a run; the columns of a table are those of its training.

    Args:
        load: `aaeframe.data.load` for its splits, or `load_rows` for all rows.
        source: a path, an object, or what `aaeframe.data.named.opened` gives for a name.
        config: the configuration of the run.
        known: the identity of its training data.
        means: the mean of each column in training, for missing values.
        label_key: the labels of this source, if they have another name.
        ids: the names of its rows, likewise.

    Raises DataError for columns that are missing or unknown, and for rows of another shape.
    """
    given = {name: value for name, value in (("label_key", label_key), ("ids", ids)) if value is not None}
    options = usable(source, config.data.reading).model_copy(update=given)
    optional = [name for name in OPTIONAL if name not in given]
    found = _load(load, source, options, Known(means, known["columns"], tuple(known["shape"])), optional)
    shape = (found.rows if isinstance(found, AllRows) else found.train).shape
    if list(shape) != list(known["shape"]):
        raise DataError(
            f"{name_of(source)}: rows of shape {tuple(known['shape'])} are expected, as the run was trained on, "
            f"found {shape}"
        )
    return found


def with_classes(rows: Split, names: Sequence[str] | None, class_names: Sequence[str] | None, where: str) -> Split:
    """Rows of these classes with the class indices of a run. DataError for a class that the run does not have."""
    if rows.labels is None or names is None or class_names is None:
        return rows
    unknown = [name for name in names if name not in class_names]
    if unknown:
        raise DataError(
            f"{where}: the run has the classes {', '.join(class_names[:12])}, but these rows have "
            f"{', '.join(unknown[:12])} too; name other labels by --label-key, or leave these rows out"
        )
    places = np.array([*(class_names.index(name) for name in names), -1])
    return replace(rows, labels=places[rows.labels])


def classes_as(dataset: Dataset, class_names: tuple[str, ...]) -> Dataset:
    """A data set with the class indices of a run. DataError for a class that the run does not have."""
    if dataset.class_names in (None, class_names):
        return dataset
    train, validation, test = (
        with_classes(it, dataset.class_names, class_names, dataset.name)
        for it in (dataset.train, dataset.validation, dataset.test)
    )
    return replace(
        dataset, train=train, validation=validation, test=test, num_classes=len(class_names), class_names=class_names
    )


def _load(
    load: Callable[..., Loaded], source: Any, options: ReadOptions, known: Known, optional: Sequence[str]
) -> Loaded:
    """Load with the options of the training, without those that name what this source lacks."""
    absent: list[str] = []
    while True:
        try:
            found: Loaded = load(source, options, known=known)
            break
        except MissingName as error:
            if error.option not in optional or error.name in absent:
                raise
            absent.append(error.name)
            left = tuple(it for it in options.drop or () if it != error.name) if error.option == "drop" else ()
            options = options.model_copy(update={error.option: left or None})
    notes: list[str] = [f"{name!r}, which the training data has and this lacks" for name in absent]
    reading = replace(found.reading, passed_over=(*found.reading.passed_over, *notes))
    return replace(found, reading=reading)
