"""`aaeframe.train`: the Python interface of `aaeframe train`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from rich.console import Console

from aaeframe.components.registry import Registry
from aaeframe.configuration.compose import compose, without_none
from aaeframe.configuration.unused import PYTHON
from aaeframe.data import Dataset, from_arrays
from aaeframe.errors import ConfigError, DataError
from aaeframe.protocols import Prior
from aaeframe.runs.progress import Bar
from aaeframe.runs.run import Run
from aaeframe.runs.start import NO_OBSERVERS, Observers, fit, start

Array: TypeAlias = "np.ndarray | torch.Tensor"
Data: TypeAlias = "str | Path | Dataset | Array | tuple[Array, Array]"


def train(
    data: Data = "digits",
    *,
    prior: str | Prior | Mapping[str, str | Prior] | None = None,
    encoder: str | None = None,
    network: str | None = None,
    discriminator: str | None = None,
    recipe: str | None = None,
    labels: int | Literal["all"] | None = None,
    preset: str | None = None,
    config: str | Path | Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    keep: bool = True,
    blocked: tuple[str, ...] = (),
    progress: bool | None = None,
    observers: Observers = NO_OBSERVERS,
    **training: Any,
) -> Run:
    """Train an adversarial autoencoder and return the run.

    `data` is a name, a path, an array (N, ...), a pair of array and labels (N,), or a Dataset. Components are
    written as on the command line ("mixture(components=5)"). A prior may also be an object, such as any
    torch.distributions.Distribution without batch_shape, or a mapping from block names to either. `labels` is the
    number of labels to learn from, balanced by class, or "all". `training` holds keys of the configuration's
    [training] table: epochs, batch_size, seed, schedule, device, precision, ...

    The run is kept in the new folder `out`, by default runs/<time>-<prior>-<encoder>; with keep=False it is in memory
    alone, and nothing is written.

    `progress` shows a bar; None shows it on a terminal or in a notebook. Warnings about the training are Python
    warnings of the class `aaeframe.errors.TrainingWarning`.

    Arguments override `config` (a TOML file or a table), which overrides `preset`, which overrides defaults. The
    caller's random state is left as it was. Raises AaeframeError for whatever is wrong with the arguments.
    """
    dataset, source = _data(data)
    table, priors = _prior(prior)
    arguments = {
        "data": {"source": source, "labels": labels},
        "prior": table,
        "encoder": encoder,
        "network": network,
        "discriminator": discriminator,
        "recipe": recipe,
        "training": training,
    }
    whole = compose(preset, Path(config) if isinstance(config, str) else config, without_none(arguments))
    registry = Registry.load(blocked)
    if not keep and out is not None:
        raise ConfigError(f"out={str(out)!r} is not used with keep=False, which writes nothing; leave one of them out")
    folder = None if out is None else Path(out)
    with _shown(observers, progress) as it:
        if not keep:
            return fit(whole, registry, dataset=dataset, priors=priors, observers=it)
        return start(whole, registry, dataset=dataset, priors=priors, out=folder, observers=it)


@contextmanager
def _shown(observers: Observers, progress: bool | None) -> Iterator[Observers]:
    """The observers with a bar, if they show nothing themselves.

    `progress` None is a bar where standard error is a terminal, or in a notebook.
    """
    console = Console(stderr=True, markup=False, emoji=False)
    if progress and observers is not NO_OBSERVERS:
        raise ConfigError("progress=True is not used with observers, which show the training; leave one of them out")
    wanted = console.is_terminal or console.is_jupyter if progress is None else progress
    if not wanted or observers is not NO_OBSERVERS:
        yield observers
        return
    bars: list[Bar] = []

    def started(config: Any, folder: Any, steps: int) -> None:
        bars.append(Bar(console, config.training.epochs, steps))

    try:
        yield replace(observers, observer=_Showing(bars, observers.observer.epoch_ended), started=started)
    finally:
        for bar in bars:
            bar.close()


class _Showing:
    """Tells the bar, once it is there, and issues the warnings of an epoch."""

    def __init__(self, bars: list[Bar], warn: Callable[[dict[str, Any], list[str]], None]) -> None:
        self._bars, self._warn = bars, warn

    def stepped(self, epoch: int, step: int) -> None:
        """Move the bar."""
        self._bars[0].stepped(epoch, step)

    def epoch_ended(self, row: dict[str, Any], warnings: list[str]) -> None:
        """Show the numbers of the epoch."""
        self._bars[0].epoch_ended(row, [])
        self._warn(row, warnings)


def _data(data: Data) -> tuple[Dataset | None, str]:
    """The data set if it came from Python, and the configuration's name for it."""
    if isinstance(data, str | Path):
        return None, str(data)
    if isinstance(data, Dataset):
        return data, f"{PYTHON}{data.name}"
    if isinstance(data, tuple) and len(data) != 2:
        raise DataError(f"a tuple is a pair of rows and labels, found {len(data)} parts; pass (x, labels), or x alone")
    x, labels = data if isinstance(data, tuple) else (data, None)
    return from_arrays(_array(x), None if labels is None else _labels(labels)), f"{PYTHON}arrays"


def _labels(values: Any) -> np.ndarray:
    """The labels as a numpy array; texts in a list that also holds None or NaN stay apart from these."""
    found = _array(values)
    if found.dtype.kind == "U" and not isinstance(values, np.ndarray):  # numpy has written NaN as a text
        return np.array(list(values), dtype=object)
    return found


def _array(values: Any) -> np.ndarray:
    """The values as a numpy array; masks and memory-mapped files are left for `from_arrays` to check."""
    if isinstance(values, np.ndarray):
        return values
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu()
        return (values.float() if values.dtype == torch.bfloat16 else values).numpy()
    try:
        return np.asarray(values)
    except (ValueError, TypeError) as error:
        raise DataError(f"data of type {type(values).__name__} is not an array: {error}; pass rows (N, ...)") from error


def _prior(prior: str | Prior | Mapping[str, str | Prior] | None) -> tuple[Any, dict[str, Prior]]:
    """The prior as a configuration table, and the prior objects by block."""
    if prior is None or isinstance(prior, str):
        return prior, {}
    if not isinstance(prior, Mapping):
        prior = {"z": prior}
    if not prior:
        raise ConfigError("the prior is empty; name at least one block, or leave it out for the default")
    objects = {block: part for block, part in prior.items() if not isinstance(part, str)}
    components = {block: {"component": f"{PYTHON}{type(part).__name__}"} for block, part in objects.items()}
    return {block: components.get(block, part) for block, part in prior.items()}, objects
