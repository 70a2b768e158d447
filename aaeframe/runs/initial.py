"""A run as the start of another: its weights, and new data in the scale of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from aaeframe import data as datasets
from aaeframe.assembly.training import data_spec
from aaeframe.components.objects import PYTHON
from aaeframe.components.registry import Registry
from aaeframe.configuration.reading import ReadOptions
from aaeframe.configuration.schema import Config
from aaeframe.data import Dataset
from aaeframe.data.columns import Known
from aaeframe.data.named import opened
from aaeframe.errors import ConfigError, DataError
from aaeframe.protocols import DataSpec
from aaeframe.runs.loading import load
from aaeframe.runs.new_data import classes_as, load_new
from aaeframe.runs.reading import checked_source
from aaeframe.runs.run import Run
from aaeframe.torch_state import exclusive


def as_run(initial: Run | str | Path, registry: Registry) -> Run:
    """The run to start from. Raises as `load` does, and ConfigError for any other object."""
    if isinstance(initial, Run):
        return initial
    if not isinstance(initial, str | Path):
        raise ConfigError(f"initial={initial!r:.100} is of type {type(initial).__name__}; pass a run, or its folder")
    return load(initial, registry)


def name_of_initial(initial: Run | str | Path) -> str:
    """The name of the run in a configuration: its path as given, its folder, or that it was in memory."""
    if not isinstance(initial, Run):
        return str(initial)
    return f"{PYTHON}run in memory" if initial.home is None else str(initial.home.path)


def load_initial(name: str, registry: Registry) -> Run:
    """The run that a configuration names. ConfigError for one that was in memory."""
    if name.startswith(PYTHON):
        raise ConfigError(
            "the run that training.initial names was in memory, and no file holds it; save it, and name its folder"
        )
    return load(name, registry)


def read_for(initial: Run, source: Any, config: Config, registry: Registry) -> Dataset:
    """A source read with the options of a new run, its columns brought to those of the initial one."""
    return _read(source, config, initial.data, initial.means, registry)


def read_again(config: Config, known: Mapping[str, Any], tensors: Mapping[str, Tensor], registry: Registry) -> Dataset:
    """The data of a run that started from another: `known` and `tensors` are of its checkpoint.

    The columns, classes and the scale are those of the initial run, as at the first time. Raises as `load_data` does.
    """
    spec = data_spec(known, tensors)
    dataset = _read(checked_source(config, registry), config, known, spec.mean.numpy(), registry)
    return in_scale(dataset, known, spec)


def adopted(dataset: Dataset, initial: Run) -> Dataset:
    """The data set with the scale and the class indices of the initial run.

    DataError for rows of another shape, other columns or pixels of another scale, and for classes that the initial run
    has learned others in place of. Classes that nothing learned keep their own indices if they are other ones.
    """
    known = initial.data
    columns = None if dataset.columns is None else list(dataset.columns)
    shape = list(dataset.spec.shape)
    if (shape, columns) != (known["shape"], known["columns"]):
        other = shape != known["shape"]
        wanted = f"rows of shape {known['shape']}" if other else f"the columns {known['columns']}"
        raise DataError(
            f"{dataset.name}: the initial run was trained on {wanted}, found {shape if other else columns}; start from "
            "a run of such data, or train anew"
        )
    initial.check_range(dataset.train, dataset.name)
    learned = initial.category_names
    if learned is not None and dataset.class_names is not None and not set(dataset.class_names) <= set(learned):
        raise DataError(
            f"{dataset.name}: the initial run has learned the classes {', '.join(learned[:12])}, found "
            f"{', '.join(dataset.class_names[:12])}; start from a run of these classes, or train anew"
        )
    tensors = {f"model.{name}": getattr(initial.model, name).cpu() for name in ("mean", "std")}
    return in_scale(dataset, known, data_spec(known, tensors))


def _read(source: Any, config: Config, known: Mapping[str, Any], means: np.ndarray, registry: Registry) -> Dataset:
    def load(source: Any, options: ReadOptions, *, known: Known) -> Dataset:
        options = options.model_copy(update={"held_out": config.data.held_out})
        return datasets.load(source, options, known=known)

    with exclusive(), torch.random.fork_rng(devices=[]):
        return load_new(load, opened(source, registry), config, known, means)


def in_scale(dataset: Dataset, known: Mapping[str, Any], spec: DataSpec) -> Dataset:
    """The data set in the units and, if it has no others, with the class indices that are known."""
    reading = replace(dataset.reading, scale="that of the initial run")
    dataset = replace(dataset, spec=spec, reading=reading)
    names = known["class_names"]
    if not names or not set(dataset.class_names or ()) <= set(names):
        return dataset
    return classes_as(dataset, tuple(names))
