"""Load a run from its folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from aaeframe.assembly.model import build_model, build_priors
from aaeframe.assembly.training import data_spec, early_stopping
from aaeframe.components.registry import Registry
from aaeframe.components.requirements import other_versions
from aaeframe.configuration.changes import changes
from aaeframe.configuration.objects import NONE, Objects
from aaeframe.configuration.resolve import resolve_stored
from aaeframe.configuration.schema import Config
from aaeframe.errors import ConfigError
from aaeframe.runs.archive import read_run, use_density
from aaeframe.runs.objects import (
    DiscriminatorObject,
    EncoderObject,
    NetworkObject,
    PriorObject,
    RecipeObject,
    read_objects,
)
from aaeframe.runs.observing import Reporting, observers_of
from aaeframe.runs.reading import given, read_config
from aaeframe.runs.run import Run, warn
from aaeframe.seeds import stream
from aaeframe.storage.checkpoint import Checkpoint, newest_or_raise
from aaeframe.storage.checkpoint_state import check_state
from aaeframe.storage.run_folder import RunFolder
from aaeframe.torch_state import default_state
from aaeframe.training.device import pick
from aaeframe.training.keeping import InFolder, Keeper
from aaeframe.training.loop import load_model


def load(
    path: Path | str,
    registry: Registry | None = None,
    *,
    data: Any = None,
    device: str = "auto",
    raw_weights: bool = False,
    best: bool = False,
    prior: PriorObject | Mapping[str, PriorObject] | None = None,
    encoder: EncoderObject | None = None,
    network: NetworkObject | None = None,
    discriminator: DiscriminatorObject | Mapping[str, DiscriminatorObject] | None = None,
    recipe: RecipeObject | None = None,
    priors: Mapping[str, PriorObject] | None = None,
    warn: Callable[[str], None] = warn,
) -> Run:
    """A run from its folder, with the weights of its newest checkpoint, or of its best one; or from its archive.

    Args:
        path: the run's folder, or a file of `Run.to_archive`, whose run is in memory.
        registry: the installed components; loaded if not given.
        data: the data of the training, if it was passed in from Python, for `evaluate` and figures.
        device: see `aaeframe.training.device.pick`.
        raw_weights: use the trained weights even if the run has their moving average.
        best: use the weights of the best epoch, see `Run.best`; the run must have `training.patience`.
        prior, encoder, network, discriminator, recipe: those that were objects from Python, as in `aaeframe.train`.
        priors: another name of `prior`, by block.
        warn: called with sentences, for example if the configuration was changed since the checkpoint, or a plugin
            has another version than in training. By default they are Python warnings.

    Raises RunError, DeviceError and ComponentError. Raises CheckpointError if the newest checkpoint is damaged, because
    an older one would give different results.
    """
    registry = registry or Registry.load()
    stored = _from_archive(Path(path), registry) if Path(path).is_file() else _from_folder(RunFolder(Path(path)))
    if prior is not None and priors is not None:
        raise ConfigError("prior= and priors= are two names of one argument; give one of them")
    objects = read_objects(
        prior=priors if prior is None else prior,
        encoder=encoder,
        network=network,
        discriminator=discriminator,
        recipe=recipe,
    )
    run = rebuild(
        stored.config,
        stored.checkpoint,
        stored.keeper,
        registry,
        home=stored.home,
        objects=objects,
        device=device,
        raw_weights=raw_weights,
    )
    for sentence in (*other_versions(stored.config.plugins, registry), *stored.changes):
        warn(sentence)
    run = replace(run, given=given(data, run.config), finished=run.finished or stored.finished)
    if stored.density is not None:
        use_density(run, stored.density)
    return run.best() if best else run


@dataclass(frozen=True)
class _Stored:
    """A run as its folder or its archive holds it."""

    home: RunFolder | None
    config: Config
    checkpoint: Checkpoint
    keeper: Keeper
    finished: bool = False
    """Whether it is finished whatever the epochs of the checkpoint, as one of the best epoch is."""
    changes: Sequence[str] = ()
    density: bytes | None = None


def _from_folder(folder: RunFolder) -> _Stored:
    config = read_config(folder)
    saved = newest_or_raise(folder.checkpoints)
    home = folder.from_anywhere()
    finished = saved.state.get("finished") is True  # of a run that was saved from memory
    return _Stored(home, config, saved, InFolder(home), finished, configuration_changes(saved, folder, config))


def _from_archive(path: Path, registry: Registry) -> _Stored:
    found = read_run(path, registry)
    return _Stored(None, found.config, found.checkpoint, found.keeper, found.finished, density=found.density)


def rebuild(
    stored: Config,
    saved: Checkpoint,
    keeper: Keeper,
    registry: Registry,
    *,
    home: RunFolder | None = None,
    objects: Objects = NONE,
    device: str = "auto",
    raw_weights: bool = False,
) -> Run:
    """A run from its configuration and a checkpoint, in its folder or in memory. Raises as `load` does."""
    check_state(saved.state)
    known = saved.state["data"]
    resolved = resolve_stored(stored, registry, objects)
    config = resolved.config
    # As in training: random numbers that a prior draws when it is built need not be in the checkpoint.
    with default_state(), stream(config.training.seed, "initialization"):
        built = build_priors(resolved, saved=saved.model)
        spec = data_spec(known, saved.model)
        model = build_model(resolved, spec, known["num_classes"], built, saved=saved.model)
        model.bind_priors()
    averaged = config.training.ema > 0 and not raw_weights
    load_model(model, saved.model, "ema." if averaged else "model.")
    stopping = early_stopping(config, resolved.recipe_class.needs)
    if stopping is not None:
        stopping.observe_all(keeper.rows, saved.state["step"])
    finished = saved.state["batches"]["epoch"] >= config.training.epochs or bool(stopping and stopping.exhausted)
    model = model.to(pick(device)).eval()
    path = None if home is None else home.path
    return Run(
        home,
        config,
        resolved.recipe_class.needs,
        model,
        finished,
        saved.state["step"],
        raw_weights=not averaged,
        data=known,
        keeper=keeper,
        stopping=stopping,
        registry=registry,
        reporting=Reporting(config, path, saved.state["step"], finished, observers_of(config.observers, registry)),
    )


def configuration_changes(saved: Checkpoint, folder: RunFolder, config: Config) -> list[str]:
    """The changes of the configuration since the checkpoint was written, in one sentence or none."""
    changed = changes(saved.state.get("config"), config)
    return [f"{folder.config} was changed since the checkpoint was written: {', '.join(changed)}"] if changed else []
