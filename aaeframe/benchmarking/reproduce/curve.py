"""How a run came to its number: what validation rows said, epoch by epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator

Measure: TypeAlias = Literal["validation/error", "validation/reconstruction"]

POINTS: Final = 20
"""Of a curve that is kept: evenly spread over the epochs, with the last."""

# Wide enough for anything that is measured, and narrow enough to be added and squared.
Number: TypeAlias = Annotated[float, Field(ge=-1e12, le=1e12)]
Count: TypeAlias = Annotated[int, Field(ge=0, lt=2**53)]


class Curve(BaseModel):
    """At most POINTS epochs of a run; nothing is extrapolated from it."""

    model_config = ConfigDict(frozen=True, strict=True)

    measure: Measure
    """A share of rows whose class is wrong, or half the squared error per row."""
    epochs: tuple[Count, ...] = Field(strict=False, min_length=1, max_length=POINTS)
    """Counted from 1."""
    values: tuple[Number, ...] = Field(strict=False)
    """Of the measure, one for each of the epochs."""

    @model_validator(mode="after")
    def _paired(self) -> Self:
        if len(self.values) != len(self.epochs):
            raise ValueError(f"{len(self.epochs)} epochs have {len(self.values)} values")
        return self


def learning_curve(metrics: Sequence[Mapping[str, Any]]) -> Curve | None:
    """Of a run's rows of metrics: of its error, where it has one, or else of its reconstruction; None before the
    first epoch is done."""
    if not metrics:
        return None
    measure: Measure = "validation/error" if "validation/error" in metrics[-1] else "validation/reconstruction"
    kept = _thinned(metrics)
    return Curve(measure=measure, epochs=[row["epoch"] for row in kept], values=[row[measure] for row in kept])


def _thinned(rows: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """At most POINTS of the rows, evenly spread, with the last."""
    if len(rows) <= POINTS:
        return rows
    return [rows[-1 - len(rows) * point // POINTS] for point in reversed(range(POINTS))]
