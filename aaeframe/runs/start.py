"""Train a run: in memory, in a new folder, or from where a folder stands."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from aaeframe import processes
from aaeframe.assembly.training import data_spec, prepare
from aaeframe.components.registry import Registry
from aaeframe.components.requirements import other_versions
from aaeframe.configuration.changes import as_saved
from aaeframe.configuration.objects import NONE, Objects
from aaeframe.configuration.resolve import ResolvedRun, resolve, resolve_stored
from aaeframe.configuration.schema import ComponentConfig, Config
from aaeframe.data import Dataset
from aaeframe.errors import RunError
from aaeframe.patches import steady
from aaeframe.processes import launcher
from aaeframe.runs.initial import adopted, in_scale, load_initial, read_again, read_for
from aaeframe.runs.loading import configuration_changes
from aaeframe.runs.observing import Reporting, observers_of, settings
from aaeframe.runs.reading import checked_source, load_data, read_config
from aaeframe.runs.run import Run, warn, warn_of_training
from aaeframe.seeds import stream
from aaeframe.storage import checkpoint as checkpoints
from aaeframe.storage.checkpoint import Checkpoint, Newest, newest_intact
from aaeframe.storage.checkpoint_state import check_state
from aaeframe.storage.locks import training_lock
from aaeframe.storage.metrics_file import MetricsFile, MetricsRow
from aaeframe.storage.run_folder import RunFolder, create
from aaeframe.torch_state import default_state
from aaeframe.training.device import differences, slower_than_fp32
from aaeframe.training.keeping import ByFirst, InFolder, Keeper
from aaeframe.training.loop import BY_CALLER, Display, Silent, Training
from aaeframe.training.observers import Observers

OTHER_NOISE: Final = (
    "the version of aaeframe that wrote the checkpoint drew noise and prior samples in another way, one after another"
)
"""The difference of a checkpoint of format 1, which holds the states of random generators."""


def new_folder(config: Config, out: Path | None) -> RunFolder:
    """The folder for a new run: `out`, or runs/<time>-<prior>-<encoder>. RunError if `out` exists."""
    if out is not None:
        if out.exists():
            raise RunError(
                f"{out} exists already; runs are never overwritten. Choose another --out, or resume it with "
                f"aaeframe train --resume {out}"
            )
        return RunFolder(out)
    short = ["-".join(_short(part.component) for part in config.prior.values()), _short(config.encoder.component)]
    return RunFolder(Path("runs") / "-".join([time.strftime("%Y%m%d-%H%M%S"), *short]), may_be_numbered=True)


def _short(component: str) -> str:
    return component.rpartition(":")[2]


@dataclass(frozen=True)
class Callbacks:
    """Functions by which a caller shows and stops a training. Unlike observers, they are trusted and may raise."""

    display: Display
    stop_asked: Callable[[], bool]
    started: Callable[[Config, RunFolder | None, int], None]
    """Called once with the configuration, the folder if any, and the number of steps of the whole run."""
    warn: Callable[[str], None]
    """Called with each warning, a sentence."""
    loaded: Callable[[Dataset], None] = lambda dataset: None
    """Called once with the data, before anything is built."""
    stopped_elsewhere: Callable[[], None] = lambda: None
    """Called after the training if another process was asked to stop it."""


class Warns(Silent):
    """Issues the warnings of an epoch as Python warnings."""

    def epoch_ended(self, row: MetricsRow, warnings: list[str]) -> None:
        """Issue the warnings."""
        for sentence in warnings:
            warn_of_training(f"epoch {row['epoch']}: {sentence}")


NO_CALLBACKS = Callbacks(Warns(), lambda: False, lambda config, folder, steps: None, warn)
"""The default: shows nothing and never stops; warnings are Python warnings."""


@processes.training("train a run in memory")
@default_state()
@steady()
def fit(
    config: Config,
    registry: Registry,
    *,
    dataset: Dataset | None = None,
    objects: Objects = NONE,
    initial: Run | None = None,
    observers: Iterable[object] = (),
    callbacks: Callbacks = NO_CALLBACKS,
) -> Run:
    """Train a run in memory: it has no folder, and nothing is written.

    Its weights are bit for bit those of `start`.
    """
    callbacks = _of_this_process(callbacks)
    training, dataset = processes.together(
        lambda: _ready(config, registry, dataset, objects, initial, observers, callbacks)
    )
    _require_same(training)
    with stream(training.config.training.seed, "training", device=training.device):
        return _train(training, None, registry, callbacks, dataset)


@processes.training("train a new run")
@default_state()
@steady()
def start(
    config: Config,
    registry: Registry,
    *,
    dataset: Dataset | None = None,
    objects: Objects = NONE,
    initial: Run | None = None,
    out: Path | None = None,
    observers: Iterable[object] = (),
    callbacks: Callbacks = NO_CALLBACKS,
) -> Run:
    """Train a new run. Everything is resolved, loaded and built before the first file is written.

    The folder appears together with a checkpoint of the untrained model, so that a run can be resumed wherever it was
    stopped. `observers` are objects, next to those that the configuration names. `initial` is the run to start from;
    by default it is loaded if the configuration names one.

    Of several processes the first writes. If their launcher starts them again, the run is resumed that they had begun.
    """
    callbacks = _of_this_process(callbacks)
    out, begun = processes.restart_folder(out)
    if out is not None and begun:
        return _resumed(out, registry, dataset, objects, {}, observers, callbacks)

    def ready() -> tuple[RunFolder, Training, Dataset | None]:
        folder = new_folder(config, out)
        return folder, *_ready(config, registry, dataset, objects, initial, observers, callbacks)

    folder, training, dataset = processes.together(ready)
    _require_same(training)
    made = RunFolder(Path(processes.first(lambda: _created(folder, training))))
    with (
        stream(training.config.training.seed, "training", device=training.device),
        _locked(made, callbacks.warn),
    ):
        training.keeper = _kept(made)
        return _train(training, made, registry, callbacks, dataset)


def _created(folder: RunFolder, training: Training) -> str:
    """Make the folder of a run, with a checkpoint of the untrained model; its path."""
    processes.note_folder(folder.path)
    made = create(folder, training.config.to_toml(), lambda aside: training.save_untrained(InFolder(aside)))
    return str(made.path)


@processes.training("resume a run")
@default_state()
@steady()
def resume(
    path: Path,
    registry: Registry,
    *,
    dataset: Dataset | None = None,
    objects: Objects = NONE,
    named: Mapping[str, ComponentConfig] = MappingProxyType({}),
    observers: Iterable[object] = (),
    callbacks: Callbacks = NO_CALLBACKS,
) -> Run:
    """Resume a run from its newest intact checkpoint; the result is bit for bit that of an uninterrupted run.

    Newer checkpoints that cannot be used are reported and renamed. RunError if another process is training the run.

    `named` and `observers` follow the run next to those that its configuration names. Of the latter, one that cannot be
    built is reported and left out.
    """
    return _resumed(path, registry, dataset, objects, named, observers, _of_this_process(callbacks))


def _resumed(
    path: Path,
    registry: Registry,
    dataset: Dataset | None,
    objects: Objects,
    named: Mapping[str, ComponentConfig],
    observers: Iterable[object],
    callbacks: Callbacks,
) -> Run:
    folder = RunFolder(path)

    def opened() -> tuple[Config, Observers]:
        stored = read_config(folder)
        if not processes.is_first():
            return stored, Observers()
        following = observers_of({**stored.observers, **named}, registry, observers)
        following.build(*named)
        return stored, following

    stored, following = processes.together(opened)
    with _locked(folder, callbacks.warn):
        training, saved, newest, dataset = processes.together(
            lambda: _reopened(folder, stored, registry, dataset, objects, callbacks)
        )
        _require_same(training, step=saved.state["step"])
        training.keeper, training.observers = _kept(folder), following
        with stream(training.config.training.seed, "training", device=training.device):
            training.load(saved)
            for unusable in newest.skipped:
                aside = processes.first(partial(_set_aside, unusable))
                callbacks.warn(f"{unusable.name} is kept as {aside}")
            if training.finished:
                done = f"all {training.config.training.epochs} epochs were done already"
                if training.stopped_early:
                    done = f"the training stopped early already: {training.stopping}"
                callbacks.warn(f"{done}; nothing was trained")
            return _train(training, folder, registry, callbacks, dataset)


def _reopened(
    folder: RunFolder,
    stored: Config,
    registry: Registry,
    dataset: Dataset | None,
    objects: Objects,
    callbacks: Callbacks,
) -> tuple[Training, Checkpoint, Newest, Dataset | None]:
    """The training of a run as its configuration describes it, and the checkpoint to load; nothing is written."""
    metrics = MetricsFile(folder.metrics)

    def usable(saved: Checkpoint) -> None:
        check_state(saved.state)
        metrics.require(saved.state["metrics_bytes"])

    newest = newest_intact(folder.checkpoints, usable)
    saved = newest.checkpoint
    for why in newest.skipped.values():
        callbacks.warn(f"{why}; {newest.path.name}, the newest intact one, is used instead")
    if not saved.state.get("resumable", bool(saved.optimizer)):
        raise RunError(
            f"{folder.path} was saved from memory, without the state of its optimizers, and cannot be resumed; start a "
            "new run from its weights with --initial"
        )
    resolved = resolve_stored(stored, registry, objects)
    config = resolved.config
    if config.training.initial is not None:
        known = saved.state["data"]
        if dataset is None:
            dataset = read_again(config, known, saved.model, registry)
        dataset = in_scale(dataset, known, data_spec(known, saved.model))
    training = prepare(resolved, _loaded(dataset, config, registry, callbacks), saved=saved.model)
    for sentence in other_versions(config.plugins, registry):
        callbacks.warn(sentence)
    changed = [
        *differences(saved.state["environment"], training.device),
        *configuration_changes(saved, folder, stored),
        *([OTHER_NOISE] if "rng.cpu" in saved.optimizer else []),
    ]
    if changed:
        callbacks.warn(f"no longer bitwise equal to a run that was never stopped: {'; '.join(changed)}")
    return training, saved, newest, dataset


def _set_aside(unusable: Path) -> str:
    return str(checkpoints.set_aside(unusable))


@contextmanager
def _locked(folder: RunFolder, warn: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock of a run in the first process, for all."""
    with ExitStack() as held:
        processes.first(lambda: held.enter_context(training_lock(folder.path, warn)))
        yield


def _kept(folder: RunFolder) -> Keeper:
    kept = InFolder(folder.from_anywhere())
    return kept if processes.size() == 1 else ByFirst(kept)


def _of_this_process(callbacks: Callbacks) -> Callbacks:
    """The callbacks, which in every process but the first show nothing."""
    if processes.is_first():
        return callbacks
    return replace(callbacks, display=Silent(), warn=lambda sentence: None, loaded=lambda dataset: None)


def _require_same(training: Training, **more: Any) -> None:
    """ProcessError if processes have another configuration, other data, or resume another checkpoint.

    The same data may have another path on each machine.
    """
    processes.require_same("configurations", {**as_saved(training.config), "data.source": None})
    processes.require_same("data", {**training.data, "name": None})
    processes.require_same("checkpoints", more)
    processes.require_same_tensors(training.batches.step, training.model.state_dict())


def _ready(
    config: Config,
    registry: Registry,
    dataset: Dataset | None,
    objects: Objects,
    initial: Run | None,
    observers: Iterable[object],
    callbacks: Callbacks,
) -> tuple[Training, Dataset | None]:
    """The training of a new run, and its data if it was given; nothing is written."""
    resolved = resolve(config, registry, objects)
    following = _built(resolved.config, registry, observers) if processes.is_first() else Observers()
    training, dataset = _prepared(resolved, dataset, registry, initial, callbacks)
    training.observers = following
    return training, dataset


def _built(config: Config, registry: Registry, objects: Iterable[object]) -> Observers:
    """The observers of a new run, all built. Raises as their factories do, before anything is written."""
    observers = observers_of(config.observers, registry, objects)
    observers.build(*config.observers)
    return observers


def _prepared(
    resolved: ResolvedRun, dataset: Dataset | None, registry: Registry, initial: Run | None, callbacks: Callbacks
) -> tuple[Training, Dataset | None]:
    """The training of a new run, from fresh weights or from those of another run, and its data if it was given."""
    config = resolved.config
    if initial is None and config.training.initial is not None:
        initial = load_initial(config.training.initial, registry)
    if initial is None:
        return prepare(resolved, _loaded(dataset, config, registry, callbacks)), dataset
    data = adopted(dataset or read_for(initial, checked_source(config, registry), config, registry), initial)
    callbacks.loaded(data)
    weights = {f"model.{name}": it for name, it in initial.model.state_dict().items()}
    return prepare(resolved, data, initial=weights), None if dataset is None else data


def _loaded(dataset: Dataset | None, config: Config, registry: Registry, callbacks: Callbacks) -> Dataset:
    data = dataset or load_data(config, registry)
    callbacks.loaded(data)
    return data


def _train(
    training: Training, folder: RunFolder | None, registry: Registry, callbacks: Callbacks, given: Dataset | None
) -> Run:
    config, observers = training.config, training.observers
    training.display, training.stop_asked = callbacks.display, callbacks.stop_asked
    steps, home = training.steps, folder.from_anywhere().path if folder else None
    callbacks.started(config, folder, steps)
    if training.lacks_graph:
        callbacks.warn("no CUDA graph: this NCCL cannot be captured in one, so each operation is launched by itself")
    if training.batches.step == 0 and slower_than_fp32(config.training.precision, training.device):
        callbacks.warn("this CPU has no bfloat16 products: the precision bf16 is several times slower than fp32")
    observers.run_started(settings(config), home, steps, training.batches.step, callbacks.warn)
    try:
        finished = training.run()
    except BaseException as error:
        observers.run_ended(False, f"{type(error).__name__}: {error}")
        if folder is None or not isinstance(error, RunError):
            raise
        raise RunError(f"{error}. {_as_it_is_left(folder)}") from error
    if training.stopped_by == BY_CALLER and not callbacks.stop_asked():
        callbacks.stopped_elsewhere()
    observers.run_ended(finished, _reason(training))
    if observers.stopped and not finished:
        again = f"; resume it with {launcher.command()} train --resume {folder.path}" if folder else ""
        callbacks.warn(f"{observers.stopped}, at step {training.batches.step} of {steps}{again}")
    model = training.evaluated.eval()
    return Run(
        folder.from_anywhere() if folder else None,
        config,
        training.recipe.needs,
        model,
        finished,
        training.batches.step,
        raw_weights=training.average is None,
        data=training.data,
        keeper=training.keeper,
        stopping=training.stopping,
        given=given,
        registry=registry,
        reporting=Reporting(config, home, training.batches.step, finished, observers),
    )


def _reason(training: Training) -> str:
    """The reason of the end of a training, for observers."""
    if training.stopped_early:
        return "stopped early"
    return "all epochs are done" if training.finished else training.observers.stopped or "stopped by the caller"


def _as_it_is_left(folder: RunFolder) -> str:
    """The state of a run that could not be written, and how to resume it."""
    found = checkpoints.paths(folder.checkpoints)
    if not found:
        return f"There is nothing left to resume from in {folder.path}"
    return f"The run was saved up to {found[-1].name}; resume it with {launcher.command()} train --resume {folder.path}"
