"""`aaeframe.train`: the Python interface of `aaeframe train`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

from rich.console import Console

from aaeframe import processes
from aaeframe.components.objects import PYTHON
from aaeframe.components.registry import Registry
from aaeframe.configuration.compose import compose, without_none
from aaeframe.configuration.reading import ReadOptions
from aaeframe.configuration.schema import parse
from aaeframe.configuration.shorthand import expand
from aaeframe.data import Dataset
from aaeframe.data.read import name_of
from aaeframe.errors import ConfigError
from aaeframe.runs.initial import as_run, name_of_initial, read_for
from aaeframe.runs.objects import (
    DiscriminatorObject,
    EncoderObject,
    NetworkObject,
    PriorObject,
    RecipeObject,
    read_objects,
    read_parts,
)
from aaeframe.runs.progress import Bar
from aaeframe.runs.reading import given, read_config, read_given
from aaeframe.runs.run import Run
from aaeframe.runs.start import NO_CALLBACKS, Callbacks, fit, start
from aaeframe.runs.start import resume as resume_run
from aaeframe.storage.run_folder import RunFolder

READING: Final = frozenset(ReadOptions.model_fields)
"""The keyword arguments that say how data is read."""


@processes.joined("train a run")
def train(
    data: Any = "digits",
    *,
    prior: str | PriorObject | Mapping[str, str | PriorObject] | None = None,
    encoder: str | EncoderObject | None = None,
    network: str | NetworkObject | None = None,
    discriminator: str | DiscriminatorObject | Mapping[str, str | DiscriminatorObject] | None = None,
    recipe: str | RecipeObject | None = None,
    labels: int | Literal["all"] | None = None,
    preset: str | None = None,
    config: str | Path | Mapping[str, Any] | None = None,
    initial: Run | str | Path | None = None,
    out: str | Path | None = None,
    keep: bool = True,
    blocked: tuple[str, ...] = (),
    progress: bool | None = None,
    observers: str | Iterable[object] = (),
    **settings: Any,
) -> Run:
    """Train an adversarial autoencoder and return the run.

    `data` is a name, a path, or an object: an array (N, ...), a tensor, a list, a sparse matrix, a pair of one of
    these and labels (N,), a data frame (pandas, polars, pyarrow, AnnData), a dictionary of arrays, a torch Dataset or
    DataLoader, whose items are read once, or a Dataset of `aaeframe.data`. `labels` is the number of labels to learn
    from, balanced by class, or "all".

    Components are written as on the command line ("mixture(components=5)"), or are objects:

    - `prior`: any torch.distributions.Distribution without batch_shape, another `aaeframe.protocols.Prior`, or a
      function of n that returns n samples (n, *event_shape): see `aaeframe.model.function_prior`;
    - `encoder`: a factory f(network, blocks), or a torch.nn.Module that was built for the blocks;
    - `network`: a factory f(data, code_size), or an instance with encoder, decoder and num_features;
    - `discriminator`: a factory f(block, num_classes) for all blocks, or a torch.nn.Module for a single one;
    - `recipe`: a subclass of `aaeframe.recipes.Recipe`.

    `prior` and `discriminator` may be mappings from blocks to these. A factory is a class or a function; its options
    are given by functools.partial. The run trains a copy of an instance, from the weights it has; the instance stays as
    it is. Objects are not stored: pass them to `load` and `resume` again.

    `settings` are options for reading, such as label_key="species", ids, drop or channels
    (`aaeframe.configuration.reading.ReadOptions`), and keys of the configuration's [training] table: epochs,
    batch_size, seed, schedule, device, precision, ...

    `initial` is a run, or the folder of one, to start from: its components and its options for reading are the
    defaults, and the training goes on from its weights, on `data` in the scale of its own data. `data` must have its
    columns and shape. Optimizers start anew.

    The run is kept in the new folder `out`, by default runs/<time>-<prior>-<encoder>; with keep=False it is in memory
    alone, and nothing is written.

    `observers` follow the run and change nothing of it: names, as in "tensorboard(every=10)", or objects with members
    of `aaeframe.training.observers.Observer`.

    `progress` shows a bar; None shows it on a terminal or in a notebook. Warnings about the training are Python
    warnings of the class `aaeframe.errors.TrainingWarning`.

    Arguments override `config` (a TOML file or a table), which overrides `preset`, which overrides `initial`. The
    caller's random state is left as it was. In each of the processes that a launcher such as torchrun started, call it
    alike: they train one run together, and each returns it. The first alone writes. While one thread trains, evaluates
    or samples, others that want to wait: to train at the same time, use processes. Raises AaeframeError for whatever is
    wrong with the arguments.
    """
    if "resume" in settings:
        raise ConfigError("train starts a new run; resume one by aaeframe.resume(path)")
    parts = read_parts(prior=prior, encoder=encoder, network=network, discriminator=discriminator, recipe=recipe)
    names, following = _observers(observers)
    registry = Registry.load(blocked)
    first = None if initial is None else as_run(initial, registry)
    arguments = {
        "data": {"source": _source(data), "labels": labels, **{k: v for k, v in settings.items() if k in READING}},
        **parts.table,
        "observers": expand({"observers": names})["observers"],
        "training": {
            **{key: value for key, value in settings.items() if key not in READING},
            "initial": None if initial is None else name_of_initial(initial),
        },
    }
    file = Path(config) if isinstance(config, str) else config
    whole = parts.complete(
        compose(
            preset,
            file,
            without_none(arguments),
            registry=registry,
            initial=None if first is None else _shared(first, read_already=isinstance(data, Dataset)),
        )
    )
    if not keep and out is not None:
        raise ConfigError(f"out={str(out)!r} is not used with keep=False, which writes nothing; leave one of them out")
    folder = None if out is None else Path(out)
    if first is None or isinstance(data, Dataset):
        dataset = _as_dataset(data, whole.data.reading)
    else:
        dataset = read_for(first, data, whole, registry)
    begin = partial(start, out=folder) if keep else fit
    with _shown(progress) as it:
        return begin(
            whole,
            registry,
            dataset=dataset,
            objects=parts.objects,
            initial=first,
            observers=following,
            callbacks=it,
        )


@processes.joined("resume a run")
def resume(
    path: str | Path,
    *,
    data: Any = None,
    prior: PriorObject | Mapping[str, PriorObject] | None = None,
    encoder: EncoderObject | None = None,
    network: NetworkObject | None = None,
    discriminator: DiscriminatorObject | Mapping[str, DiscriminatorObject] | None = None,
    recipe: RecipeObject | None = None,
    blocked: tuple[str, ...] = (),
    progress: bool | None = None,
    observers: str | Iterable[object] = (),
) -> Run:
    """Resume a run from its newest intact checkpoint, and return it.

    The result is bit for bit that of an uninterrupted run. Data and components that were objects from
    Python are passed again, as to `train`; the data is read with the options of the run. `observers`, as for `train`,
    follow it next to those of its configuration, which does not change. Raises AaeframeError, as `train` does.
    """
    objects = read_objects(prior=prior, encoder=encoder, network=network, discriminator=discriminator, recipe=recipe)
    names, following = _observers(observers)
    dataset = None if data is None else given(data, read_config(RunFolder(Path(path))))
    with _shown(progress) as it:
        return resume_run(
            Path(path),
            Registry.load(blocked),
            dataset=dataset,
            objects=objects,
            named=parse({"observers": names}).observers,
            observers=following,
            callbacks=it,
        )


@contextmanager
def _shown(progress: bool | None) -> Iterator[Callbacks]:
    """Callbacks with a bar, if it is wanted; None is a bar where standard error is a terminal, or in a notebook."""
    console = Console(stderr=True, markup=False, emoji=False)
    wanted = console.is_terminal or console.is_jupyter if progress is None else progress
    if not wanted or not processes.is_first():
        yield NO_CALLBACKS
        return
    bars: list[Bar] = []

    def started(config: Any, folder: Any, steps: int) -> None:
        bars.append(Bar(console, config.training.epochs, steps))

    try:
        yield replace(NO_CALLBACKS, display=_Showing(bars, NO_CALLBACKS.display.epoch_ended), started=started)
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


def _shared(initial: Run, *, read_already: bool) -> dict[str, Any]:
    """The configuration of an initial run; without options for reading for data that is read already."""
    return initial.config.model_dump(exclude_none=True, exclude={"data"} if read_already else None)


def _as_dataset(data: Any, reading: ReadOptions) -> Dataset | None:
    """The data from Python as a data set; None for a name or a path. A Dataset has been read already."""
    if not isinstance(data, Dataset):
        return None if isinstance(data, str | Path) else read_given(data, reading)
    if reading.given:
        raise ConfigError(f"{', '.join(reading.given)} is not used for a Dataset, which is read already; leave it out")
    return data


def _source(data: Any) -> str:
    """The configuration's name for the data."""
    if isinstance(data, str | Path):
        return str(data)
    return f"{PYTHON}{data.name if isinstance(data, Dataset) else name_of(data)}"


def _observers(observers: str | Iterable[object]) -> tuple[list[str], list[object]]:
    """The observers that are named, and those that are objects."""
    if isinstance(observers, str):
        return [observers], []
    if isinstance(observers, Mapping) or not isinstance(observers, Iterable):
        raise ConfigError(
            f"observers is a list of names and objects, not {type(observers).__name__}; write [it], and options of a "
            'name as in "tensorboard(every=10)"'
        )
    every = list(observers)
    return [it for it in every if isinstance(it, str)], [it for it in every if not isinstance(it, str)]
