"""Records: one `record.json` for each cell, the only thing that the table reads.

A record holds everything that the table shows about a cell. `outcome` makes it from the folder of a run or generator.
Copied to the folder of another table, it fills the same cell there.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from aaeframe.errors import RunError
from aaeframe.reproduce.cells import DataOverride
from aaeframe.storage.atomic import write_atomically, writing
from aaeframe.storage.formats import loads_json
from aaeframe.storage.problems import problems

TWO_SAMPLE: Final = 0.65
"""Accuracy up to which a classifier hardly distinguishes codes from prior samples; 0.5 is chance."""
RECONSTRUCTION: Final = 0.5
"""Held-out reconstruction error, relative to the mean image's."""
ENTROPY: Final = 0.1
"""Nats by which the marginal of a categorical block may miss the uniform one's entropy."""
FORMER: Final = "two-sample accuracy of "
"""The beginning of the criterion of older records: the accuracy of one small network, in five folds."""
_LIMITS: Final = {
    "reconstruction error over the mean image's": RECONSTRUCTION,
    "larger two-sample accuracy of ": TWO_SAMPLE,
    FORMER: TWO_SAMPLE,
    "entropy missing from ": ENTROPY,
}
"""Limits by the beginning of a criterion's name."""
POINTS: Final = 20
"""Largest number of points of a stored curve, evenly spread over the epochs."""
LARGEST: Final = 1e12
"""Wide enough for any measurement, and narrow enough to be added and squared."""
MOST: Final = 2**53
"""Whole numbers below this are exact as floats."""
PRECISION: Final = "training.precision"
"""The setting in which the records of one cell may differ."""


def _printable(text: str) -> str:
    """The text, which goes into tables: one line without control characters."""
    if not text.isprintable():
        raise ValueError("it has characters that cannot be printed")
    return text


Measure: TypeAlias = Literal["validation/error", "validation/reconstruction"]
"""The measures of a curve, the preferred one first."""
_Number: TypeAlias = Annotated[float, Field(ge=-LARGEST, le=LARGEST)]
_Count: TypeAlias = Annotated[int, Field(ge=0, lt=MOST)]
_Rows: TypeAlias = Annotated[int, Field(ge=1, lt=MOST)]
_Text: TypeAlias = Annotated[str, Field(max_length=1000), AfterValidator(_printable)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True)


class Curve(_Part):
    """A measurement on validation rows at up to POINTS epochs of a run; nothing is extrapolated."""

    measure: Measure
    """The share of misclassified rows, or half the squared error per row."""
    epochs: tuple[_Count, ...] = Field(strict=False, min_length=1, max_length=POINTS)
    """Counted from 1."""
    values: tuple[_Number, ...] = Field(strict=False)

    @model_validator(mode="after")
    def _paired(self) -> Self:
        if len(self.values) != len(self.epochs):
            raise ValueError(f"{len(self.epochs)} epochs have {len(self.values)} values")
        return self


class Criterion(_Part):
    """A measurement that decides whether a run counts. Its limit is the current one, whenever the run was made."""

    of: _Text
    found: _Number | None
    """None if it could not be measured."""

    @model_validator(mode="after")
    def _known(self) -> Self:
        if not self.of.startswith(tuple(_LIMITS)):
            raise ValueError(f"no criterion is named {self.of!r}")
        return self

    @property
    def at_most(self) -> float:
        """The limit."""
        return next(limit for begin, limit in _LIMITS.items() if self.of.startswith(begin))

    @property
    def met(self) -> bool:
        """Whether it was measured and is within the limit."""
        return self.found is not None and self.found <= self.at_most

    def __str__(self) -> str:
        if self.found is None:
            return f"{self.of} could not be measured"
        return f"{self.of} is {self.found:.3g}, at most {self.at_most:g}"


class Record(_Part):
    """A cell that is done, has diverged or is unfinished; of an unfinished one, its state after the last epoch."""

    settings: Mapping[str, JsonValue]
    """All settings that define the run, by dotted keys, its seed among them; empty in records of older tables."""
    measure: Mapping[str, JsonValue]
    """The meaning of the value: see `Experiment.measure`."""
    source: _Text
    """The name of the data, or of its file."""
    held_out: tuple[_Rows, _Rows] | None = Field(strict=False)
    label_key: _Text | None = None
    """The column or array of the labels, if it was named."""
    version: _Text
    """The version of aaeframe that made it."""
    where: _Text
    """The device and its threads."""
    epochs: _Count
    """Finished epochs."""
    planned_epochs: _Count
    seconds: Annotated[_Number, Field(ge=0)]
    """Seconds of training."""
    test_accesses: _Count
    """Number of times that something was computed from test rows, including results that were not kept."""
    curve: Curve | None
    value: _Number | None = None
    """The number in the experiment's unit; None unless the cell is done."""
    criteria: tuple[Criterion, ...] = Field(strict=False, default=())
    """Empty where there is no autoencoder."""
    selection_score: _Number | None = None
    """The score that selects the best of several runs without labels, less being better; None of a generator."""
    diverged: _Text | None = None
    """The error, if training diverged."""
    recorded: bool = False
    """Whether the record was copied from another table."""

    @model_validator(mode="after")
    def _one_end(self) -> Self:
        if self.value is not None and self.diverged is not None:
            raise ValueError("it has a value and has diverged")
        return self

    @property
    def data(self) -> DataOverride:
        """The data by name."""
        return DataOverride(self.source, self.held_out, self.label_key).named

    @property
    def precision(self) -> str | None:
        """The arithmetic of the training; None of a generator."""
        found = self.settings.get(PRECISION)
        return found if isinstance(found, str) else None

    @property
    def finished(self) -> bool:
        """Whether the cell is done or has diverged."""
        return self.value is not None or self.diverged is not None

    @property
    def remarks(self) -> tuple[str, ...]:
        """Reasons why the run does not count."""
        return tuple(str(it) for it in self.criteria if not it.met)

    @property
    def counts(self) -> bool:
        """Whether the run meets all criteria."""
        return not self.remarks

    @property
    def judged_formerly(self) -> bool:
        """Whether the match was judged by the test of older records, which was easier to meet."""
        return any(it.of.startswith(FORMER) for it in self.criteria)


def parse(content: Any) -> Record:
    """Check the content of a record. ValueError, with every problem, if it is none."""
    try:
        return Record.model_validate(content)
    except ValidationError as error:
        raise ValueError("; ".join(problems(error))) from error


def read(path: Path) -> Record | None:
    """Read a record; None if there is none. RunError if it cannot be read."""
    if not path.is_file():
        return None
    try:
        return parse(loads_json(path.read_text("utf-8")))
    except (OSError, ValueError) as error:
        raise RunError(f"{path} is no record: {error}; remove it, and the cell is made anew") from error


def write(path: Path, record: Record) -> None:
    """Write a record, whole or not at all. RunError if it cannot be written."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, f"{record.model_dump_json(indent=1)}\n".encode())
