"""Load a run from its folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from aaeframe.assembly.model import build_model, build_priors
from aaeframe.assembly.training import data_spec, early_stopping
from aaeframe.components.registry import Registry
from aaeframe.components.requirements import other_versions
from aaeframe.configuration.changes import changes
from aaeframe.configuration.resolve import resolve_stored
from aaeframe.configuration.schema import Config
from aaeframe.errors import ConfigError, RunError
from aaeframe.runs.archive import read_run
from aaeframe.runs.objects import (
    DiscriminatorObject,
    EncoderObject,
    NetworkObject,
    PriorObject,
    RecipeObject,
    read_objects,
)
from aaeframe.runs.observing import Reporting, observers_of
from aaeframe.runs.run import Run, given, read_config, warn
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
    stored = _from_archive(Path(path), raw_weights) if Path(path).is_file() else _from_folder(Path(path), raw_weights)
    registry = registry or Registry.load()
    if prior is not None and priors is not None:
        raise ConfigError("prior= and priors= are two names of one argument; give one of them")
    objects = read_objects(
        prior=priors if prior is None else prior,
        encoder=encoder,
        network=network,
        discriminator=discriminator,
        recipe=recipe,
    )
    resolved = resolve_stored(stored.config, registry, objects)
    config = resolved.config
    # As in training: random numbers that a prior draws when it is built need not be in the checkpoint.
    with default_state(), stream(config.training.seed, "initialization"):
        built = build_priors(resolved, saved=stored.tensors)
        spec = data_spec(stored.data, stored.tensors)
        model = build_model(resolved, spec, stored.data["num_classes"], built, saved=stored.tensors)
        model.bind_priors()
    for sentence in (*other_versions(config.plugins, registry), *stored.warnings):
        warn(sentence)
    load_model(model, stored.tensors, stored.prefix)
    stopping = early_stopping(config, resolved.recipe_class.needs)
    if stopping is not None:
        stopping.observe_all(stored.keeper.rows, stored.step)
    finished = stored.finished or bool(stopping and stopping.exhausted)
    run = Run(
        stored.folder,
        config,
        resolved.recipe_class.needs,
        model.to(pick(device)).eval(),
        finished,
        stored.step,
        raw_weights=stored.raw_weights,
        data=stored.data,
        keeper=stored.keeper,
        stopping=stopping,
        given=given(data, config),
        registry=registry,
        reporting=_reporting(stored, finished, config, registry),
    )
    return run.best() if best else run


@dataclass(frozen=True)
class _Stored:
    """What a folder or an archive holds of a run."""

    folder: RunFolder | None
    config: Config
    tensors: Mapping[str, Tensor]
    prefix: str
    """The beginning of the names of the weights to use."""
    raw_weights: bool
    data: Mapping[str, Any]
    step: int
    finished: bool
    keeper: Keeper
    warnings: Sequence[str] = ()


def _from_folder(path: Path, raw_weights: bool) -> _Stored:
    folder = RunFolder(path)
    config = read_config(folder)
    saved = newest_or_raise(folder.checkpoints)
    state = saved.state
    check_state(state)
    averaged = config.training.ema > 0 and not raw_weights
    return _Stored(
        folder,
        config,
        saved.model,
        "ema." if averaged else "model.",
        not averaged,
        state["data"],
        state["step"],
        state["batches"]["epoch"] >= config.training.epochs,
        InFolder(folder),
        configuration_changes(saved, folder, config),
    )


def _from_archive(path: Path, raw_weights: bool) -> _Stored:
    found = read_run(path)
    state = found.state
    if raw_weights and not state["raw_weights"]:
        raise RunError(
            f"{path} holds the moving average of the weights alone; write it anew from the run for the others: "
            "aaeframe export RUN --format archive --raw-weights --out model.zip"
        )
    return _Stored(
        None,
        found.config,
        found.tensors,
        "model.",
        state["raw_weights"],
        state["data"],
        state["step"],
        state["finished"],
        found.keeper,
    )


def _reporting(stored: _Stored, finished: bool, config: Config, registry: Registry) -> Reporting | None:
    """The observers of a run in a folder; nobody follows one in an archive."""
    if stored.folder is None:
        return None
    following = observers_of(config.observers, registry)
    return Reporting(config, stored.folder.path, stored.step, finished, following)


def configuration_changes(saved: Checkpoint, folder: RunFolder, config: Config) -> list[str]:
    """The changes of the configuration since the checkpoint was written, in one sentence or none."""
    changed = changes(saved.state.get("config"), config)
    return [f"{folder.config} was changed since the checkpoint was written: {', '.join(changed)}"] if changed else []
