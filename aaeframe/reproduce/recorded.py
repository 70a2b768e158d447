"""A run whose folder is not at hand, as a table tells of it: one file for each cell, apart from the folders of runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Self, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from aaeframe.errors import RunError
from aaeframe.reproduce.cells import Cell, Given
from aaeframe.reproduce.criteria import Criterion, criterion
from aaeframe.reproduce.curve import Count, Curve, Number
from aaeframe.storage.atomic import write_atomically, writing
from aaeframe.storage.formats import loads_json

RECORDED: Final = "recorded"
"""The folder of what is recorded, in that of the table."""


def _printable(text: str) -> str:
    """The text, which goes into tables: one line, and nothing that a terminal or Markdown would obey."""
    if not text.isprintable():
        raise ValueError("it has characters that cannot be printed")
    return text


_Rows: TypeAlias = Annotated[int, Field(ge=1, lt=2**53)]
_Text: TypeAlias = Annotated[str, Field(max_length=200), AfterValidator(_printable)]


class _Part(BaseModel):
    """Of a table's JSON; what else stands there is derived from it."""

    model_config = ConfigDict(frozen=True, strict=True)


class Fact(_Part):
    """What a criterion is of, and what was found; its bound is that of today."""

    of: _Text
    found: Number | None

    @model_validator(mode="after")
    def _known(self) -> Self:
        criterion(self.of, self.found)
        return self


class Recorded(_Part):
    """What a table tells of a run that is done, as `results.Judged` has it."""

    value: Number
    epochs: Count
    seconds: Annotated[Number, Field(ge=0)]
    where: _Text
    source: _Text = Field(alias="data")
    held_out: tuple[_Rows, _Rows] | None = Field(strict=False)
    test_accesses: Count
    version: _Text
    facts: tuple[Fact, ...] = Field(strict=False, alias="criteria")
    criterion_without_labels: Number | None
    made_by: Mapping[str, JsonValue]
    """The settings that make it what it is, its seed among them."""
    measure: Mapping[str, JsonValue]
    """What its number is of, as `Row.measure`."""
    curve: Curve | None = None
    """Older tables do not tell it."""

    @property
    def data(self) -> Given:
        """The name of the data, or of its file."""
        return Given(self.source, self.held_out).named

    @property
    def criteria(self) -> tuple[Criterion, ...]:
        """Whether it counts, by the bounds of today."""
        return tuple(criterion(it.of, it.found) for it in self.facts)


def parse(told: Any) -> Recorded:
    """What a table tells of a run, and by what it was made. ValueError, with every problem, if it is not that."""
    try:
        return Recorded.model_validate(told)
    except ValidationError as error:
        problems = (f"{'.'.join(map(str, it['loc']))}: {it['msg']}" for it in error.errors(include_url=False))
        raise ValueError("; ".join(problems)) from error


def path(cell: Cell) -> Path:
    """Where what is recorded of a cell stands."""
    return cell.out / RECORDED / cell.row.name / cell.column / f"seed-{cell.seed}.json"


def write(cell: Cell, run: Recorded) -> None:
    """Keep what is recorded of a cell. RunError if it cannot be written."""
    where = path(cell)
    with writing(where):
        where.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(where, f"{run.model_dump_json(indent=1, by_alias=True)}\n".encode())


def read(cell: Cell) -> Recorded | None:
    """What is recorded of a cell; None if nothing is. RunError if it cannot be read."""
    where = path(cell)
    if not where.is_file():
        return None
    try:
        return parse(loads_json(where.read_text("utf-8")))
    except (OSError, ValueError) as error:
        raise RunError(f"{where} is no record of a run: {error}; remove it, and the run is trained") from error
