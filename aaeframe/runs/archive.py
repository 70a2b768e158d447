"""A run in one file, to be shared: its configuration, weights, numbers and model card."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from torch import Tensor

from aaeframe.configuration import schema as configuration
from aaeframe.configuration.schema import Config
from aaeframe.errors import CheckpointError, RunError
from aaeframe.runs.card import card
from aaeframe.runs.exporting import without_folders
from aaeframe.storage.archive import SUFFIX, read_archive, write_archive
from aaeframe.storage.checkpoint import Checkpoint, decoded, encoded
from aaeframe.storage.checkpoint_state import Count, DataProperties, StateTable
from aaeframe.storage.formats import loads_json, loads_toml
from aaeframe.storage.metrics_file import read_rows
from aaeframe.storage.output import Output
from aaeframe.storage.problems import problems
from aaeframe.training.keeping import InMemory

if TYPE_CHECKING:
    from aaeframe.runs.run import Run


class ArchiveState(StateTable):
    """The content of state.json in an archive."""

    step: Count
    finished: bool
    raw_weights: bool
    data: DataProperties


@dataclass(frozen=True)
class FromArchive(InMemory):
    """Keeps the numbers of a run that was loaded from an archive, and no checkpoint."""

    def best(self, step: int) -> Checkpoint:
        """Raise a CheckpointError: an archive holds the weights of one step."""
        raise CheckpointError(
            f"an archive holds one set of weights, and these are not those of the best epoch, step {step}; write it "
            "anew from the run: aaeframe export RUN --format archive --best --out model.zip"
        )


@dataclass(frozen=True)
class Archived:
    """The content of an archive, read and verified."""

    config: Config
    tensors: Mapping[str, Tensor]
    """The weights and buffers of the model, named "model.NAME"."""
    state: Mapping[str, Any]
    keeper: FromArchive


def write_run(run: Run, path: Path | str) -> Path:
    """Write a run as an archive: see `Run.to_archive`."""
    output = Output.named(path, [SUFFIX])
    data = {**run.data, "name": without_folders(run.data["name"])}
    state = {"step": run.step, "finished": run.finished, "raw_weights": run.raw_weights, "data": data}
    evaluations = _evaluations(run)
    files = {
        "README.md": card(run, evaluations).encode(),
        "config.toml": _shared(run.config).to_toml().encode(),
        "state.json": json.dumps(state, indent=1).encode(),
        "metrics.jsonl": b"".join(json.dumps(row).encode() + b"\n" for row in run.metrics),
        "model.safetensors": encoded({f"model.{name}": it for name, it in run.model.state_dict().items()}),
    }
    if evaluations:
        files["evaluation.json"] = json.dumps(evaluations, indent=1).encode()
    write_archive(output, files)
    return Path(path)


def _shared(config: Config) -> Config:
    """The configuration without the folders of this machine: data in a file is named by its name alone."""
    source = without_folders(config.data.source)
    return config.model_copy(update={"data": config.data.model_copy(update={"source": source})})


def _evaluations(run: Run) -> dict[str, Any]:
    """The stored reports by split; the data they are of is named without folders."""
    return {
        without_folders(name): {**it, "split": without_folders(str(it.get("split", name)))}
        for name, it in run.evaluations.items()
        if isinstance(it, Mapping)
    }


def read_run(path: Path) -> Archived:
    """The content of an archive. RunError if it is none, or a part of it is not valid."""
    files = read_archive(path)
    try:
        config = configuration.parse(loads_toml(files["config.toml"].decode()))
        state = loads_json(files["state.json"])
        ArchiveState.model_validate(state)
        rows = read_rows(files["metrics.jsonl"])
        evaluations = loads_json(files.get("evaluation.json", b"{}"))
        if not isinstance(evaluations, dict):
            raise ValueError("evaluation.json holds no reports by split")
        tensors = decoded(files["model.safetensors"])
    except ValidationError as error:
        raise RunError(f"{path}: state.json is not valid: {'; '.join(problems(error))}") from error
    except ValueError as error:
        raise RunError(f"{path} cannot be used as the archive of a run: {error}") from error
    return Archived(config, tensors, state, FromArchive(rows, evaluations=evaluations))
