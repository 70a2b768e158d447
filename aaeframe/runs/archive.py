"""A run in one file, to be shared: its configuration, weights, numbers and model card."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from aaeframe.anomaly import kept
from aaeframe.components.registry import Registry
from aaeframe.configuration import schema as configuration
from aaeframe.configuration.schema import Config
from aaeframe.errors import CheckpointError, RunError
from aaeframe.runs.card import card
from aaeframe.runs.exporting import split_without_folders, without_folders
from aaeframe.runs.portable import portable
from aaeframe.storage.archive import SUFFIX, read_archive, write_archive
from aaeframe.storage.checkpoint import Checkpoint, decoded, encoded
from aaeframe.storage.checkpoint_state import check_state
from aaeframe.storage.formats import loads_json, loads_toml
from aaeframe.storage.metrics_file import read_rows
from aaeframe.storage.output import Output
from aaeframe.training.keeping import InMemory

if TYPE_CHECKING:
    from aaeframe.runs.run import Run


@dataclass(frozen=True)
class Archived:
    """The content of an archive, read and verified."""

    config: Config
    checkpoint: Checkpoint
    keeper: InMemory
    finished: bool
    density: bytes | None
    """The density of anomaly scores, as safetensors, if it was fitted."""


ADVICE: Final = (
    "is a path{of}. {what}: train with that part passed in from Python, as functools.partial(Network, path=Path(...)), "
    "of which only the name is stored"
)
SENT: Final = ADVICE.format(of=" of this machine", what="An archive holds none")
OPENED: Final = ADVICE.format(
    of=", and those of an archive are never opened", what="Ask for an archive without it, whose author can"
)


def write_run(run: Run, path: Path | str) -> Path:
    """Write a run as an archive: see `Run.to_archive`."""
    output = Output.named(path, [SUFFIX])
    run = replace(run, config=portable(run.config, run.registry or Registry.load(), SENT))
    metrics = b"".join(json.dumps(row).encode() + b"\n" for row in run.metrics)
    saved, evaluations, density = run.keeper.best(run.step), _evaluations(run), _density(run)
    files = {
        "README.md": card(run, evaluations).encode(),
        "config.toml": run.config.to_toml().encode(),
        "state.json": json.dumps(_state(run, saved.state, len(metrics)), indent=1).encode(),
        "metrics.jsonl": metrics,
        "model.safetensors": encoded(saved.model),
        **({"evaluation.json": json.dumps(evaluations, indent=1).encode()} if evaluations else {}),
        **({} if density is None else {"anomaly.safetensors": density}),
    }
    write_archive(output, files)
    return Path(path)


def _state(run: Run, saved: Mapping[str, Any], metrics_bytes: int) -> dict[str, Any]:
    """The state of the checkpoint without what only a resumed training needs."""
    needed = ("step", "batches", "summed_steps", "monitor", "data", "environment", "versions")
    state = {key: saved[key] for key in needed if key in saved}
    state["data"] = {**state["data"], "name": without_folders(state["data"]["name"])}
    return {**state, "metrics_bytes": metrics_bytes, "finished": run.finished}


def _density(run: Run) -> bytes | None:
    weights, size = run.weights_digest(), run.model.data_shape.numel()
    found = run.densities.get(weights)
    if found is None and run.home is not None:
        found = kept.read(run.home.anomaly, weights, size)
    return None if found is None else kept.to_bytes(found, weights)


def _evaluations(run: Run) -> dict[str, Any]:
    """The stored reports by split; the data they are of is named without folders. Equal names are numbered."""
    found: dict[str, Any] = {}
    for name, report in run.evaluations.items():
        if isinstance(report, Mapping):
            short = split_without_folders(name)
            numbered = (f"{short} ({k})" for k in count(2))
            free = next(it for it in chain([short], numbered) if it not in found)
            found[free] = {**report, "split": split_without_folders(str(report.get("split", name)))}
    return found


def read_run(path: Path, registry: Registry) -> Archived:
    """The content of an archive. RunError if it is none, or a part of it is not valid, or an option is a path."""
    files = read_archive(path)
    try:
        config = configuration.parse(loads_toml(files["config.toml"].decode()))
        config = portable(config, registry, OPENED)
        state = loads_json(files["state.json"])
        check_state(state)
        rows = read_rows(files["metrics.jsonl"])
        evaluations = loads_json(files.get("evaluation.json", b"{}"))
        if not isinstance(evaluations, dict):
            raise ValueError("evaluation.json holds no reports by split")
        checkpoint = Checkpoint(decoded(files["model.safetensors"]), {}, state)
    except (ValueError, CheckpointError) as error:
        raise RunError(f"{path} cannot be used as the archive of a run: {error}") from error
    keeper = InMemory(rows, evaluations=evaluations, checkpoints={state["step"]: checkpoint})
    finished = state.get("finished") is True
    return Archived(config, checkpoint, keeper, finished, files.get("anomaly.safetensors"))


def use_density(run: Run, content: bytes) -> None:
    """Give a run the density of its archive. RunError if it is damaged."""
    weights = run.weights_digest()
    try:
        density = kept.from_bytes(content, weights, run.model.data_shape.numel())
    except ValueError as error:
        raise RunError(f"anomaly.safetensors of the archive cannot be used: {error}") from error
    if density is not None:
        run.densities[weights] = density
