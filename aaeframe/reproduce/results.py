"""From the folders of all cells to the table: every seed, mean and spread, the pick, what is not done yet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from aaeframe.components.registry import Registry
from aaeframe.reproduce import rows
from aaeframe.reproduce.cells import Cell, Given, cells
from aaeframe.reproduce.columns import COLUMNS, Column
from aaeframe.reproduce.criteria import Criterion, criteria
from aaeframe.reproduce.curve import Curve, learning_curve
from aaeframe.reproduce.found import Found
from aaeframe.reproduce.measured import Measured
from aaeframe.reproduce.recorded import Recorded
from aaeframe.reproduce.rows import TEST, Row
from aaeframe.reproduce.state import Standing, State, as_it_is


@dataclass(frozen=True)
class Judged:
    """A run, or a generator, that is done."""

    cell: Cell
    value: float
    """In the row's unit."""
    epochs: int
    seconds: float
    """Of training."""
    where: str
    """The device and its threads."""
    data: Given
    """The name of the data, or of its file."""
    test_accesses: int
    version: str
    """Of aaeframe, which made it."""
    criteria: tuple[Criterion, ...]
    """Empty where there is no autoencoder to judge."""
    criterion: float | None
    """By which runs are picked without labels: see `Found.criterion`; None of a generator."""
    made_by: Mapping[str, Any]
    """The settings that make it what it is, by dotted keys, its seed among them."""
    curve: Curve | None
    """None of a generator, and of a run or record of which none is told."""
    recorded: bool = False
    """Whether it is known from a table alone."""

    @property
    def remarks(self) -> tuple[str, ...]:
        """Why the run does not count."""
        return tuple(str(it) for it in self.criteria if not it.met)

    @property
    def counts(self) -> bool:
        """Whether it meets all that is asked of it."""
        return not self.remarks


@dataclass(frozen=True)
class Unfinished:
    """A run that is not done; nothing is extrapolated from it."""

    cell: Cell
    epoch: int
    """How many are done; all of them if only the evaluation is missing."""
    epochs: int
    curve: Curve | None
    """So far; None if there is nothing to tell, as before the first epoch is done."""


@dataclass(frozen=True)
class Result:
    """One row and column with all its seeds on one data."""

    row: Row
    column: str
    data: Given | None
    """None: the column's own."""
    judged: tuple[Judged, ...]
    unfinished: tuple[Unfinished, ...]
    aside: tuple[Standing, ...]
    """What stands there and is not counted: diverged, unreadable, of other settings."""

    @property
    def name(self) -> str:
        """Of the row, with the data that is not its own."""
        return f"{self.row.name}{self._on}"

    @property
    def title(self) -> str:
        """The row's, with the data that is not its own."""
        return f"{self.row.title}{self._on}"

    @property
    def _on(self) -> str:
        return "" if self.data is None else f" on {self.data}"

    @property
    def how(self) -> Column:
        """How the column is filled."""
        return self.row.columns[self.column]

    @property
    def mean(self) -> float | None:
        """Over all seeds that are done, whether they count or not; None before the first."""
        return mean(it.value for it in self.judged) if self.judged else None

    @property
    def spread(self) -> float | None:
        """The sample standard deviation over seeds; None of fewer than two."""
        return stdev(it.value for it in self.judged) if len(self.judged) > 1 else None

    @property
    def curves(self) -> list[Curve]:
        """Of the runs that have one, done or not."""
        known = [*(it.curve for it in self.judged), *(it.curve for it in self.unfinished)]
        return [it for it in known if it is not None]

    @property
    def diverged(self) -> int:
        """How many seeds did."""
        return sum(it.state is State.DIVERGED for it in self.aside)

    @property
    def pick(self) -> Judged | None:
        """Of several runs without labels, the one that looks best without any, whether it counts or not."""
        known = [(it.criterion, it) for it in self.judged if it.criterion is not None]
        return min(known, key=itemgetter(0))[1] if self.row.picked and len(known) > 1 else None


def results(out: Path, registry: Registry) -> list[Result]:
    """All that is found under `out`, row by row."""
    return [it for row in rows.ROWS.values() for it in _of_row(row, out, registry)]


def _of_row(row: Row, out: Path, registry: Registry) -> Iterator[Result]:
    """The row's results, column by column; a run that rows share is told of in its own row until it is done,
    a record in the row that it is of."""
    for column in (it for it in COLUMNS if it in row.columns):
        every = [as_it_is(cell, registry) for cell in cells([(row, column)], out, seeds=None)]
        there = [it for it in every if it.state is not State.NOTHING]
        told = [it for it in there if it.state is State.DONE or row.folder == row.name or it.recorded]
        for data in dict.fromkeys(it.cell.data for it in told):
            yield _result(row, column, data, [it for it in told if it.cell.data == data])


def _result(row: Row, column: str, data: Given | None, standings: Sequence[Standing]) -> Result:
    return Result(
        row,
        column,
        data,
        judged=tuple(_judged(it.cell, it.found) for it in standings if it.state is State.DONE and it.found is not None),
        unfinished=tuple(
            _unfinished(it.cell, it.found)
            for it in standings
            if not it.told and isinstance(it.found, Found) and it.state is not State.DONE
        ),
        aside=tuple(it for it in standings if it.told),
    )


def _judged(cell: Cell, found: Found | Measured | Recorded) -> Judged:
    if isinstance(found, Recorded):
        return _of_record(cell, found)
    run = found if isinstance(found, Found) else None
    value = found.log_likelihood if isinstance(found, Measured) else cell.row.value(found.evaluations)
    assert value is not None
    return Judged(
        cell=cell,
        value=value,
        epochs=found.epochs,
        seconds=found.seconds,
        where=_where(found.environment),
        data=found.data,
        test_accesses=found.test_accesses,
        version=found.version,
        criteria=() if run is None or not cell.how.judged else criteria(run.evaluations[TEST]),
        criterion=None if run is None else run.criterion,
        made_by=found.made_by,
        curve=None if run is None else learning_curve(run.metrics),
    )


def _of_record(cell: Cell, found: Recorded) -> Judged:
    return Judged(
        cell=cell,
        value=found.value,
        epochs=found.epochs,
        seconds=found.seconds,
        where=found.where,
        data=found.data,
        test_accesses=found.test_accesses,
        version=found.version,
        criteria=found.criteria if cell.how.judged else (),
        criterion=found.criterion_without_labels,
        made_by=found.made_by,
        curve=found.curve,
        recorded=True,
    )


def _unfinished(cell: Cell, found: Found) -> Unfinished:
    return Unfinished(cell, found.epochs, found.config.training.epochs, learning_curve(found.metrics))


def _where(environment: Mapping[str, str]) -> str:
    if not environment:
        return ""
    threads = environment["threads"]
    return f"{environment['device']}, {threads} thread{'' if threads == '1' else 's'}"
