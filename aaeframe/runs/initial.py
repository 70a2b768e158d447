"""A run as the start of another: its weights, and new data in the scale of its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from aaeframe import data as datasets
from aaeframe.assembly.training import data_spec
from aaeframe.components.objects import PYTHON
from aaeframe.components.registry import Registry
from aaeframe.configuration.schema import Config
from aaeframe.data import Dataset
from aaeframe.data.named import opened
from aaeframe.errors import ConfigError, DataError
from aaeframe.runs.loading import load
from aaeframe.runs.new_data import load_new
from aaeframe.runs.run import Run
from aaeframe.torch_state import exclusive


def as_run(initial: Run | str | Path, registry: Registry) -> Run:
    """The run to start from. Raises as `load` does, and ConfigError for any other object."""
    if isinstance(initial, Run):
        return initial
    if not isinstance(initial, str | Path):
        raise ConfigError(f"initial={initial!r:.100} is of type {type(initial).__name__}; pass a run, or its folder")
    return load(initial, registry)


def name_of_initial(run: Run) -> str:
    """The name of the run in a configuration: its folder, or that it was in memory."""
    return f"{PYTHON}run in memory" if run.home is None else str(run.home.path)


def load_initial(name: str, registry: Registry) -> Run:
    """The run that a configuration names. ConfigError for one that was in memory."""
    if name.startswith(PYTHON):
        raise ConfigError(
            "the run that training.initial names was in memory, and no file holds it; save it, and name its folder"
        )
    return load(name, registry)


def read_for(initial: Run, source: Any, config: Config, registry: Registry) -> Dataset:
    """A source read with the options of a new run, its columns brought to those of the initial one."""
    with exclusive(), torch.random.fork_rng(devices=[]):
        return load_new(datasets.load, opened(source, registry), config, initial.data, initial.means)


def adopted(dataset: Dataset, initial: Run) -> Dataset:
    """The data set with the scale and the class indices of the initial run.

    DataError for rows of another shape, other columns or pixels of another scale. Classes that are not all known to
    the initial run keep their own indices.
    """
    known = initial.data
    columns = None if dataset.columns is None else list(dataset.columns)
    if list(dataset.spec.shape) != known["shape"] or columns != known["columns"]:
        what = "the columns" if list(dataset.spec.shape) == known["shape"] else "rows of shape"
        found, wanted = (columns, known["columns"]) if what == "the columns" else (dataset.spec.shape, known["shape"])
        raise DataError(
            f"{dataset.name}: the initial run was trained on {what} {wanted}, found {found}; start from a run of such "
            "data, or train anew"
        )
    initial.check_range(dataset.train, dataset.name)
    tensors = {f"model.{name}": getattr(initial.model, name).cpu() for name in ("mean", "std")}
    reading = replace(dataset.reading, scale="that of the initial run")
    dataset = replace(dataset, spec=data_spec(known, tensors), reading=reading)
    names = initial.class_names
    return initial.own_classes(dataset) if names and set(dataset.class_names or ()) <= set(names) else dataset
