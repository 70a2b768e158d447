"""What a checkpoint must say of the training it is of. Its digests tell that it says what was written, by whomever."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from aaeframe.errors import CheckpointError

Count: TypeAlias = Annotated[int, Field(ge=0, lt=2**53)]


class Part(BaseModel):
    """A table of the state; what else it holds is nobody's business here."""

    model_config = ConfigDict(frozen=True, strict=True)


class Place(Part):
    """Of the next batch."""

    epoch: Count
    position: Count


class Warned(Part):
    """What the monitor remembers."""

    rows: list[dict[str, float]]
    standing: list[str]


class Known(Part):
    """What was the data."""

    shape: Annotated[list[Annotated[int, Field(ge=1, lt=2**31)]], Field(min_length=1, max_length=4)]
    support: Literal["unit_interval", "real"]
    num_classes: Annotated[int, Field(ge=1, lt=2**31)] | None


class State(Part):
    """All that a run is opened or resumed from."""

    step: Count
    batches: Place
    summed_steps: Count
    monitor: Warned
    metrics_bytes: Count
    data: Known
    environment: dict[str, str]


def check_state(state: Mapping[str, Any]) -> None:
    """CheckpointError, with every problem and its place, if no training can have written this state."""
    try:
        State.model_validate(state)
    except ValidationError as error:
        problems = (f"{'.'.join(map(str, it['loc']))}: {it['msg']}" for it in error.errors(include_url=False))
        raise CheckpointError(
            f"state.json of the checkpoint is of no training: {'; '.join(problems)}. Restore the run, or train anew"
        ) from error
