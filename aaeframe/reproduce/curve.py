"""How a run came to its number: what validation rows said, epoch by epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator

Measure: TypeAlias = Literal["validation/error", "validation/reconstruction"]

POINTS: Final = 20
"""Of a curve that is kept: evenly spread over the epochs, with the last."""

LARGEST: Final = 1e12
"""Wide enough for anything that is measured, and narrow enough to be added and squared."""
Number: TypeAlias = Annotated[float, Field(ge=-LARGEST, le=LARGEST)]
MOST: Final = 2**53
"""Whole numbers up to which a float tells them apart."""
Count: TypeAlias = Annotated[int, Field(ge=0, lt=MOST)]


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
    """Of a run's rows of metrics: of its error, where it has one, or else of its reconstruction. What cannot be told
    in numbers is left out; None if that is all."""
    measure: Measure = "validation/error"
    if not any(_told(row, measure) for row in metrics):
        measure = "validation/reconstruction"
    kept = _thinned([row for row in metrics if _told(row, measure)])
    if not kept:
        return None
    return Curve(
        measure=measure,
        epochs=tuple(row["epoch"] for row in kept),
        values=tuple(float(row[measure]) for row in kept),
    )


def _told(row: Mapping[str, Any], measure: Measure) -> bool:
    epoch, value = row.get("epoch"), row.get(measure)
    numbers = type(epoch) is int and isinstance(value, int | float) and not isinstance(value, bool)
    return numbers and 0 < row["epoch"] < MOST and abs(row[measure]) <= LARGEST


def _thinned(rows: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """At most POINTS of the rows, evenly spread, with the last."""
    if len(rows) <= POINTS:
        return rows
    return [rows[-1 - len(rows) * point // POINTS] for point in reversed(range(POINTS))]
