"""From the folders of all cells to the table: every seed, mean and spread, the pick, what is not done yet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from operator import itemgetter
from pathlib import Path
from statistics import mean, stdev
from typing import Any, Final

from aaeframe.benchmarking.reproduce import measured, rows
from aaeframe.benchmarking.reproduce.cells import Cell, Given, cells
from aaeframe.benchmarking.reproduce.columns import COLUMNS, ByGenerator, Column
from aaeframe.benchmarking.reproduce.criteria import Criterion, criteria
from aaeframe.benchmarking.reproduce.found import Found, find
from aaeframe.benchmarking.reproduce.rows import TEST, Row
from aaeframe.build import resolve
from aaeframe.config import Config
from aaeframe.registry import Registry

CURVE_POINTS: Final = 20
"""Points of an unfinished run's learning curve, evenly spread, with the last."""
_FREE: Final = (("plugins",), ("data", "source"), ("data", "held_out"), ("training", "device"))
"""Parts of a configuration in which a run may differ from its preset."""


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
    data: str
    """The name of the data, or of its file."""
    test_accesses: int
    criteria: tuple[Criterion, ...]
    """Empty where there is no autoencoder to judge."""
    criterion: float | None
    """By which runs are picked without labels: see `Found.criterion`; None of a generator."""
    changed: tuple[str, ...]
    """Keys of the configuration, or of a generator's settings, in which it is not what the column is now."""

    @property
    def remarks(self) -> tuple[str, ...]:
        """Why the run does not count."""
        changed = (f"not the column's: {', '.join(self.changed)}",) if self.changed else ()
        return (*(str(it) for it in self.criteria if not it.met), *changed)

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
    measure: str
    """What the curve is of: "validation/error", a share, or "validation/reconstruction"."""
    curve: tuple[tuple[int, float], ...]
    """(epoch, measure), so far."""


@dataclass(frozen=True)
class Result:
    """One row and column with all its seeds."""

    row: Row
    column: str
    judged: tuple[Judged, ...]
    unfinished: tuple[Unfinished, ...]

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
    def pick(self) -> Judged | None:
        """Of several runs without labels, the one that looks best without any."""
        known = [(it.criterion, it) for it in self.judged if it.criterion is not None]
        return min(known, key=itemgetter(0))[1] if self.row.picked and len(known) > 1 else None


def results(out: Path, registry: Registry) -> list[Result]:
    """All that is found under `out`, row by row. RunError or CheckpointError if a run there cannot be read."""
    return [it for row in rows.ROWS.values() for it in _of_row(row, out, registry) if it.judged or it.unfinished]


def _of_row(row: Row, out: Path, registry: Registry) -> Iterator[Result]:
    for column in (it for it in COLUMNS if it in row.columns):
        found = [_looked_up(cell, registry) for cell in cells([(row, column)], out, seeds=None)]
        judged = tuple(it for it in found if isinstance(it, Judged))
        yield Result(row, column, judged, tuple(it for it in found if isinstance(it, Unfinished)))


def _looked_up(cell: Cell, registry: Registry) -> Judged | Unfinished | None:
    """What stands in the cell's folder; None if nothing does, or it is told of in the row whose runs these are."""
    if isinstance(cell.how, ByGenerator):
        return _measured(cell, cell.how)
    found = find(cell.folder)
    if found is None:
        return None
    value = cell.row.value(found.evaluations)
    if value is not None and TEST in found.evaluations:
        return _judged(cell, found, value, registry)
    return _unfinished(cell, found) if cell.row.folder == cell.row.name else None


def _measured(cell: Cell, how: ByGenerator) -> Judged | None:
    found = measured.read(cell.folder)
    if found is None:
        return None
    data = Given(Path(found.data.source).name, found.data.held_out)
    wanted = measured.settings(how, cell.seed).as_dict()
    return Judged(
        cell=cell if data.source == how.data else replace(cell, data=data),
        value=found.log_likelihood,
        epochs=found.epochs,
        seconds=found.seconds,
        where=_where(found.environment),
        data=data.source,
        test_accesses=measured.TEST_ACCESSES,
        criteria=(),
        criterion=None,
        changed=tuple(name for name in wanted if name != "device" and found.settings.get(name) != wanted[name]),
    )


def _judged(cell: Cell, found: Found, value: float, registry: Registry) -> Judged:
    report, preset = found.evaluations[TEST], cell.config()
    data = Given(Path(found.config.data.source).name, found.config.data.held_out)
    return Judged(
        cell=cell if data.source == preset.data.source else replace(cell, data=data),
        value=value,
        epochs=found.epochs,
        seconds=found.seconds,
        where=_where(found.environment),
        data=data.source,
        test_accesses=found.test_accesses,
        criteria=criteria(report) if cell.how.judged else (),
        criterion=found.criterion,
        changed=tuple(_differences(found.config, resolve(preset, registry))),
    )


def _unfinished(cell: Cell, found: Found) -> Unfinished:
    last = found.metrics[-1] if found.metrics else {}
    measure = "validation/error" if "validation/error" in last else "validation/reconstruction"
    curve = [(row["epoch"], row[measure]) for row in found.metrics]
    return Unfinished(cell, found.epochs, found.config.training.epochs, measure, tuple(_thinned(curve)))


def _thinned(curve: list[tuple[int, float]]) -> Iterable[tuple[int, float]]:
    """At most CURVE_POINTS of the points, evenly spread, with the last."""
    if len(curve) <= CURVE_POINTS:
        return curve
    return [curve[-1 - len(curve) * point // CURVE_POINTS] for point in reversed(range(CURVE_POINTS))]


def _where(environment: Mapping[str, str]) -> str:
    if not environment:
        return ""
    threads = environment["threads"]
    return f"{environment['device']}, {threads} thread{'' if threads == '1' else 's'}"


def _differences(run: Config, preset: Config) -> Iterator[str]:
    """The keys in which two resolved configurations differ, where they must not."""
    flat = [dict(_flat(config.model_dump(mode="json"))) for config in (run, preset)]
    for keys in sorted({*flat[0], *flat[1]}):
        if not any(keys[: len(free)] == free for free in _FREE) and flat[0].get(keys) != flat[1].get(keys):
            yield ".".join(keys)


def _flat(table: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, (*above, key))
        else:
            yield (*above, key), value
