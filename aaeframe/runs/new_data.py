"""Rows that a run has not seen: read as its training data was, and brought to its columns and classes."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from aaeframe import data as datasets
from aaeframe.configuration.reading import ReadOptions
from aaeframe.configuration.schema import Config
from aaeframe.data import AllRows, Dataset, Split
from aaeframe.data.columns import Known
from aaeframe.data.named import opened
from aaeframe.data.read import name_of, usable
from aaeframe.errors import AmbiguousLabels, DataError, MissingName
from aaeframe.evaluation.class_reports import decoder_labels
from aaeframe.model.autoencoder import Rows

if TYPE_CHECKING:
    from aaeframe.runs.run import Run

OPTIONAL = ("label_key", "ids", "drop")
"""Options of the training that name what new data may lack."""
WHITES = (255.0, 65535.0)
"""White where the scale of pixels is the range of their type, of 8 and of 16 bits."""
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
    """Load with the options of the training, without those that name what this source lacks.

    A column that was a feature in the training is one here, even if it can hold labels by its values.
    """
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
        except AmbiguousLabels as error:
            if error.name not in (known.columns or ()):
                raise
            options = options.model_copy(update={"label_key": ""})
    notes: list[str] = [f"{name!r}, which the training data has and this lacks" for name in absent]
    reading = replace(found.reading, passed_over=(*found.reading.passed_over, *notes))
    return replace(found, reading=reading)


def new_rows(
    run: Run, source: Any, *, label_key: str | None = None, ids: str | None = None, check: bool = True
) -> AllRows:
    """All rows of a source, read as the training data of a run was: see `Run.new_rows`."""
    found = _load_for(run, partial(datasets.load_rows, check=check), source, label_key, ids)
    if check:
        check_range(run, found.rows, name_of(source))
    return found


def new_data(run: Run, source: Any, *, label_key: str | None = None, ids: str | None = None) -> Dataset:
    """A source with its own splits, read as the training data of a run was: see `Run.new_data`."""
    found = _load_for(run, datasets.load, source, label_key, ids)
    for rows in (found.train, found.validation, found.test):
        check_range(run, rows, name_of(source))
    return found


def _load_for(run: Run, load: Callable[..., Loaded], source: Any, label_key: str | None, ids: str | None) -> Loaded:
    source = opened(source, run.registry)
    return load_new(load, source, run.config, run.data, run.means, label_key=label_key, ids=ids)


def unseen(run: Run, source: Any, *, label_key: str | None = None, data_changed: bool = False) -> Dataset:
    """The data of the training, with all rows of another source, never seen, as its test rows: see `Run.unseen`."""
    known, found = run.dataset(data_changed=data_changed), new_rows(run, source, label_key=label_key)
    rows = with_classes(found.rows, found.class_names, known.class_names, name_of(source))
    names = known.class_names or found.class_names
    count = None if names is None else len(names)
    return replace(known, name=name_of(source), test=rows, num_classes=count, class_names=names, reading=found.reading)


def model_rows(run: Run, x: Any) -> Rows:
    """Rows in the form of the model; their labels are not used."""
    found = _found(run, x)
    return found.rows if isinstance(found, AllRows) else found


def rows_and_labels(run: Run, x: Any, labels: Tensor | None) -> tuple[Rows, Tensor | None]:
    """Rows in the form of the model, and the labels for its decoder: see `Run.rows_and_labels`."""
    found = _found(run, x)
    if isinstance(found, AllRows):
        return found.rows, decoder_labels_of(run, found, name_of(x)) if labels is None else labels
    return found, decoder_labels(run.model, found) if labels is None and isinstance(found, Split) else labels


def decoder_labels_of(run: Run, found: AllRows, where: str = "the rows") -> Tensor | None:
    """The labels that the decoder needs, if any, as classes of the run. DataError for a class that it does not have."""
    if not run.model.representation.takes_labels:
        return None
    return decoder_labels(run.model, with_classes(found.rows, found.class_names, run.class_names, where))


def _found(run: Run, x: Any) -> Rows | AllRows:
    """Rows in the form of the model as they are, others as the training data was read; a warning if some are left out.

    Results by row would be taken for those of other rows.
    """
    if has_model_form(run, x):
        return x
    found = new_rows(run, x)
    if left := found.reading.dropped:
        warnings.warn(
            f"{name_of(x)}: {left} of {left + len(found.rows)} rows have empty cells and are left out; the results are "
            f"those of the other {len(found.rows)}, in order",
            stacklevel=_users_level(),
        )
    return found


def _users_level() -> int:
    """The level, for a warning of the caller, of the first function that is not of this package or its decorators."""
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(("aaeframe.", "contextlib")):
        frame, level = frame.f_back, level + 1
    return level


def has_model_form(run: Run, x: Any) -> bool:
    """Whether x is a split, or an array or a tensor of rows (N, *shape) of the model's shape."""
    plain = isinstance(x, np.ndarray) or (isinstance(x, Tensor) and x.layout == torch.strided)
    return isinstance(x, Split) or (plain and tuple(x.shape[1:]) == tuple(run.model.data_shape))


def check_range(run: Run, rows: Split, where: str) -> None:
    """DataError for rows on another scale than a model of pixels: see `Run.check_range`."""
    if run.data["support"] != "unit_interval":
        return
    _check_white(run, rows, where)
    low, high = 0.0, 1.0
    for part in rows.chunks(run.model.batch_size):
        scaled = run.model.scale(torch.from_numpy(part).to(run.model.device))
        low, high = min(low, float(scaled.min())), max(high, float(scaled.max()))
    if low < -1 or high > 2:
        raise DataError(
            f"{where}: the values reach from {low:g} to {high:g}, in units in which those of the training are from "
            "0 to 1; bring them to the scale of the training data"
        )


def _check_white(run: Run, rows: Split, where: str) -> None:
    """DataError for pixels whose white is less than that of a model of pixels of 8 or 16 bits."""
    white, found = float(run.model.std.max()), None
    if white not in WHITES or bool(run.model.mean.any()):
        return
    if rows.dtype == np.uint8:
        found = WHITES[0]
    elif _are_fractions(rows, run.model.batch_size):
        found = 1.0
    if found is not None and found < white:
        raise DataError(
            f"{where}: the values are pixels within 0..{found:g}, where those of the training are within 0..{white:g}; "
            f"bring them to the scale of the training data, as by x * {white / found:g}"
        )


def _are_fractions(rows: Split, size: int) -> bool:
    """Whether all values are within 0..1, and not all are whole."""
    whole = True
    for part in rows.chunks(size):
        if part.min() < 0 or part.max() > 1:
            return False
        whole = whole and bool((part == np.rint(part)).all())
    return not whole
