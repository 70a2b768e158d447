"""Runs in memory: kept in a new folder later, and as bytes without code."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from safetensors.torch import save as save_tensors

from aaeframe.anomaly import kept
from aaeframe.components.registry import Registry
from aaeframe.configuration import schema
from aaeframe.configuration.objects import NONE, Objects
from aaeframe.errors import UnusableCheckpoint
from aaeframe.runs.loading import rebuild
from aaeframe.runs.run import Run
from aaeframe.runs.start import new_folder
from aaeframe.storage.atomic import write_atomically
from aaeframe.storage.checkpoint import Checkpoint, copied, decoded
from aaeframe.storage.formats import loads_json, loads_toml
from aaeframe.storage.metrics_file import MetricsRow
from aaeframe.storage.run_folder import RunFolder, create
from aaeframe.training.keeping import InFolder, InMemory


def save(run: Run, path: str | Path) -> Run:
    """Write a run to a new folder, with the weights that it has, and return the run in it.

    A run in memory has no state of optimizers: it can be loaded, or be the start of another, but not be resumed.
    RunError if `path` exists.
    """
    rows, weights = _rows(run), run.weights_digest()
    steps = {run.step} if run.stopping is None else {run.step, min(run.step, run.stopping.best_step)} - {0}

    def fill(aside: RunFolder) -> None:
        write_atomically(aside.metrics, _lines(rows))
        for step in sorted(steps):
            checkpoint = run.keeper.best(step)
            size = aside.metrics.stat().st_size
            state = {**checkpoint.state, "resumable": False, "metrics_bytes": size, "finished": run.finished}
            InFolder(aside).write(step, replace(checkpoint, state=state))
        if weights in run.densities:
            kept.write(aside.anomaly, run.densities[weights], weights)

    home = create(new_folder(run.config, Path(path)), run.config.to_toml(), fill).from_anywhere()
    reporting = run.reporting and replace(run.reporting, folder=home.path)
    return replace(run, home=home, keeper=InFolder(home), reporting=reporting)


def to_bytes(run: Run) -> dict[str, str | bytes]:
    """A run, with all that `from_bytes` needs, as TOML, JSON and safetensors; without the state of optimizers."""
    checkpoint, weights = run.keeper.best(run.step), run.weights_digest()
    density = {"density": kept.to_bytes(run.densities[weights], weights)} if weights in run.densities else {}
    return {
        **density,
        "config": run.config.to_toml(),
        "state": json.dumps(checkpoint.state),
        "metrics": _lines(_rows(run)).decode(),
        "model": save_tensors({name: copied(it) for name, it in checkpoint.model.items()}),
    }


def from_bytes(
    stored: Mapping[str, Any], registry: Registry | None = None, *, objects: Objects = NONE, device: str = "auto"
) -> Run:
    """The run that `to_bytes` stored. UnusableCheckpoint if the content is not of this form."""
    try:
        config = schema.parse(loads_toml(stored["config"]))
        rows = [loads_json(line) for line in stored["metrics"].splitlines()]
        checkpoint = Checkpoint(decoded(stored["model"]), {}, loads_json(stored["state"]))
    except (LookupError, TypeError, ValueError) as error:
        raise UnusableCheckpoint(f"the stored run cannot be read: {error}") from error
    keeper = InMemory(rows, checkpoints={checkpoint.state["step"]: checkpoint})
    run = rebuild(config, checkpoint, keeper, registry or Registry.load(), objects=objects, device=device)
    if "density" in stored:
        weights = run.weights_digest()
        density = kept.from_bytes(stored["density"], weights, run.model.data_shape.numel())
        run.densities.update({} if density is None else {weights: density})
    return run


def _rows(run: Run) -> list[MetricsRow]:
    """The metrics up to the step of the run's weights."""
    return [row for row in run.metrics if row["step"] <= run.step]


def _lines(rows: Sequence[MetricsRow]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)
