"""Schema of a checkpoint's state.json. Its digests detect corruption, not tampering."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from aaeframe.errors import CheckpointError
from aaeframe.storage.problems import problems

Count: TypeAlias = Annotated[int, Field(ge=0, lt=2**53)]


class StateTable(BaseModel):
    """A table of the state. Extra keys are ignored."""

    model_config = ConfigDict(frozen=True, strict=True)


class BatchPosition(StateTable):
    """The position of the next batch."""

    epoch: Count
    position: Count


class DiagnosisState(StateTable):
    """The memory of the training's diagnosis."""

    rows: list[dict[str, float]]
    standing: list[str]


class DataProperties(StateTable):
    """The properties of the data that must not change."""

    shape: Annotated[list[Annotated[int, Field(ge=1, lt=2**31)]], Field(min_length=1, max_length=4)]
    support: Literal["unit_interval", "real"]
    num_classes: Annotated[int, Field(ge=1, lt=2**31)] | None
    name: str
    rows: dict[str, Count]
    columns: list[str] | None
    class_names: list[str] | None
    digests: dict[str, str]


class CheckpointState(StateTable):
    """The content of state.json needed to open or resume a run."""

    step: Count
    resumable: bool | None = None
    """Whether the state of the optimizers is there; None in a checkpoint of format 1."""
    batches: BatchPosition
    summed_steps: Count
    monitor: DiagnosisState
    metrics_bytes: Count
    data: DataProperties
    environment: dict[str, str]


def check_state(state: Mapping[str, Any]) -> None:
    """CheckpointError, with every problem and its place, if this is not a valid training state."""
    try:
        CheckpointState.model_validate(state)
    except ValidationError as error:
        raise CheckpointError(
            f"state.json of the checkpoint is not a valid training state: {'; '.join(problems(error))}. "
            "Restore the run, or train anew"
        ) from error
