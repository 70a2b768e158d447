"""Runs in memory: kept in a new folder later, and as bytes without code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from safetensors.torch import save as save_tensors

from aaeframe.anomaly import kept
from aaeframe.components.registry import Registry
from aaeframe.configuration import schema
from aaeframe.configuration.objects import NONE, Objects
from aaeframe.errors import RunError, UnusableCheckpoint
from aaeframe.runs.loading import rebuild
from aaeframe.runs.run import Run
from aaeframe.runs.start import new_folder
from aaeframe.storage.atomic import write_atomically
from aaeframe.storage.checkpoint import Checkpoint, copied, decoded
from aaeframe.storage.formats import loads_json, loads_toml
from aaeframe.storage.run_folder import RunFolder, create
from aaeframe.training.keeping import InFolder, InMemory


def save(run: Run, path: str | Path) -> Run:
    """Write a run in memory to a new folder, and return the run in it.

    The folder has no state of optimizers: the run can be loaded, or be the start of another, but not be resumed.
    RunError if the run has a folder already, or if `path` exists.
    """
    keeper = _memory_of(run)

    def fill(aside: RunFolder) -> None:
        write_atomically(aside.metrics, _lines(keeper))
        for step, checkpoint in sorted(keeper.checkpoints.items()):
            state = {**checkpoint.state, "metrics_bytes": aside.metrics.stat().st_size}
            InFolder(aside).write(step, replace(checkpoint, state=state))
        for weights, density in run.densities.items():
            kept.write(aside.anomaly, density, weights)

    home = create(new_folder(run.config, Path(path)), run.config.to_toml(), fill)
    return replace(run, home=home, keeper=InFolder(home))


def to_bytes(run: Run) -> dict[str, str | bytes]:
    """The last weights of a run in memory with all that `from_bytes` needs: TOML, JSON and safetensors."""
    keeper = _memory_of(run)
    last, weights = keeper.checkpoints[max(keeper.checkpoints)], run.weights_digest()
    density = {"density": kept.to_bytes(run.densities[weights], weights)} if weights in run.densities else {}
    return {
        **density,
        "config": run.config.to_toml(),
        "state": json.dumps(last.state),
        "metrics": _lines(keeper).decode(),
        "model": save_tensors({name: copied(it) for name, it in last.model.items()}),
    }


def from_bytes(stored: Mapping[str, Any], registry: Registry | None = None, *, objects: Objects = NONE) -> Run:
    """The run that `to_bytes` stored. UnusableCheckpoint if the content is not of this form."""
    try:
        config = schema.parse(loads_toml(stored["config"]))
        rows = [loads_json(line) for line in stored["metrics"].splitlines()]
        checkpoint = Checkpoint(decoded(stored["model"]), {}, loads_json(stored["state"]))
    except (LookupError, TypeError, ValueError) as error:
        raise UnusableCheckpoint(f"the stored run cannot be read: {error}") from error
    keeper = InMemory(rows, checkpoints={checkpoint.state["step"]: checkpoint})
    run = rebuild(config, checkpoint, keeper, registry or Registry.load(), objects=objects)
    if "density" in stored:
        weights = run.weights_digest()
        density = kept.from_bytes(stored["density"], weights, run.model.data_shape.numel())
        run.densities.update({} if density is None else {weights: density})
    return run


def _lines(keeper: InMemory) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in keeper.rows)


def _memory_of(run: Run) -> InMemory:
    if not isinstance(run.keeper, InMemory):
        raise RunError(f"this run is in the folder {run.folder.path} already; copy it, as files, to where you want it")
    return run.keeper
