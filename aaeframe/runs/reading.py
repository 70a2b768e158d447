"""Read the configuration of a run and the data of its training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from aaeframe import data as datasets
from aaeframe.components.objects import PYTHON
from aaeframe.components.registry import Registry
from aaeframe.components.requirements import obstacles
from aaeframe.configuration import schema as configuration
from aaeframe.configuration.data_sets import find_data_set, is_full_name
from aaeframe.configuration.reading import ReadOptions
from aaeframe.configuration.schema import Config
from aaeframe.data import Dataset
from aaeframe.data.identity import changes, identity
from aaeframe.errors import DataError
from aaeframe.storage.run_folder import RunFolder
from aaeframe.torch_state import exclusive

if TYPE_CHECKING:
    from aaeframe.runs.run import Run


def read_config(folder: RunFolder) -> Config:
    """The configuration of a run; RunError if the folder is not a run, or a part of it lies outside."""
    folder.check()
    return configuration.parse(configuration.read(folder.config))


def given(data: Any, config: Config) -> Dataset | None:
    """Data from Python as a data set, read with the options of a run; None if there is none."""
    return data if data is None or isinstance(data, Dataset) else read_given(data, config.data.reading)


def read_given(data: Any, options: ReadOptions) -> Dataset:
    """Data from Python as a data set. Items that draw random numbers leave torch's state as it was."""
    with exclusive(), torch.random.fork_rng(devices=[]):
        return datasets.load(data, options)


def load_data(config: Config, registry: Registry | None = None) -> Dataset:
    """The data that a configuration names; DataError if it was passed in from Python, or its plugin is missing."""
    registry = registry or Registry.load()
    return datasets.load(checked_source(config, registry), config.data.reading, registry=registry)


def checked_source(config: Config, registry: Registry) -> str:
    """The name or path of the data. DataError if it was passed in from Python, or its plugin is missing."""
    source = config.data.source
    if source.startswith(PYTHON):
        raise DataError(
            "this run was trained on data passed in from Python, which no file holds, or shared without its place "
            f"({source.removeprefix(PYTHON)}): pass the same data again, as in aaeframe.load(path, data=x), "
            "or give rows by --data where the command has it"
        )
    made_with = {name: version for name, version in config.plugins.items() if source.startswith(f"{name}:")}
    if is_full_name(source) and find_data_set(source, registry) is None:
        lacking = obstacles(made_with, registry)
        raise DataError("\n  ".join([f"the data of this run are {source!r}, which no active plugin offers", *lacking]))
    return source


def training_data(run: Run, *, data_changed: bool = False, read: Dataset | None = None) -> Dataset:
    """The data of the training of a run: see `Run.dataset`. `read` is its source as another run has read it."""
    dataset = read or run.given or _reread(run)
    if run.config.training.initial is not None and set(dataset.class_names or ()) <= set(run.class_names or ()):
        dataset = run.own_classes(dataset)  # their indices are those of the initial run
    found = changes(run.data, identity(dataset))
    if found and not data_changed:
        raise DataError(
            f"{dataset.name} is not the data of the training any more: {'; '.join(found)}. Its test rows may be "
            "rows that were trained on. Restore the data, name rows of your own by --data, or use it as it is with "
            "--data-changed"
        )
    return dataset


def _reread(run: Run) -> Dataset:
    if run.config.training.initial is None:
        return load_data(run.config, run.registry)
    from aaeframe.runs.initial import read_again  # which imports `Run`

    tensors = {f"model.{name}": getattr(run.model, name).cpu() for name in ("mean", "std")}
    return read_again(run.config, run.data, tensors, run.registry or Registry.load())
