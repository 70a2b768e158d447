"""Taking runs from the table of another folder, so that they stand in this one's table and are not made anew."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aaeframe.components.registry import Registry
from aaeframe.errors import AaeframeError, ConfigError
from aaeframe.reproduce import recorded, rows
from aaeframe.reproduce.cells import Cell, Given, cells
from aaeframe.reproduce.recorded import Recorded
from aaeframe.reproduce.state import as_it_is, different
from aaeframe.storage.formats import loads_json


@dataclass(frozen=True)
class _Told:
    """A run that a table tells of."""

    name: str
    cell: Cell | None
    """None: there is no such run here."""
    run: Recorded


def take(tables: Sequence[Path], asked: Iterable[Cell], out: Path, registry: Registry) -> list[str]:
    """Keep in `out` what tables' JSON tells of runs that are done; sentences about those that are not taken.

    A column stays on one data: that which is asked of it, or else that of its runs here, or else that of the first run
    that is taken. ConfigError, and nothing is taken, if a file is no such table; RunError if what it tells cannot be
    kept. Of two tables that tell of one run, the later stands.
    """
    found = [(table, it) for table in tables for it in _read(table, out)]
    data = {_column(cell): cell.of for cell in asked}
    kept, left = [], []
    for table, it in found:
        reason = _why_not(it, data, registry)
        if reason:
            left.append(f"{it.name} of {table} is not taken: {reason}")
        elif it.cell is not None:
            data[_column(it.cell)] = it.run.data
            kept.append((it.cell, it.run))
    for cell, run in kept:
        recorded.write(cell, run)
    return left


def _why_not(it: _Told, data: Mapping[tuple[str, str], Given], registry: Registry) -> str:
    """Why a run is not taken, where columns are on such data already; empty if it is."""
    if it.cell is None:
        return "there is no such run here"
    try:
        others = different(it.cell, it.run, registry)
    except AaeframeError as error:
        return str(error)
    if others:
        return f"its settings are others now: {', '.join(others)}"
    here = data.get(_column(it.cell)) or _data_here(it.cell, registry)
    if here not in (None, it.run.data):
        return f"it is of {it.run.data}, the column here of {here}; take another --out"
    return ""


def _column(cell: Cell) -> tuple[str, str]:
    return cell.row.folder, cell.column


def _data_here(cell: Cell, registry: Registry) -> Given | None:
    """Of any run that stands in the cell's column."""
    standing = (as_it_is(it, registry).found for it in _cells(cell.row.name, cell.column, cell.out))
    return next((it.data for it in standing if it is not None), None)


def _read(table: Path, out: Path) -> list[_Told]:
    try:
        told = loads_json(table.read_text("utf-8"))
        _check_age(told, table)
        return list(_runs(told, out))
    except ConfigError:
        raise
    except OSError as error:
        raise ConfigError(f"cannot read {table}: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"{table} is no table of aaeframe reproduce: {error!r}; give the results.json that it wrote"
        ) from error


def _check_age(table: Mapping[str, Any], path: Path) -> None:
    if any("made_by" not in column for row in table["rows"].values() for column in row["columns"].values()):
        raise ConfigError(
            f"{path} does not tell by which settings its runs were made, as older tables do not; where the runs are, "
            "aaeframe reproduce writes it anew"
        )


def _runs(table: Mapping[str, Any], out: Path) -> Iterator[_Told]:
    for row in table["rows"].values():
        measure = {name: row[name] for name in ("unit", "error", "samples")}
        for column, filled in row["columns"].items():
            here = {it.seed: it for it in _cells(row["name"], column, out)}
            for run in filled["seeds"]:
                name, cell = f"{row['name']}, {column}, seed {run['seed']}", here.get(run["seed"])
                seeded = {} if cell is None else {cell.how.seed_key: cell.seed}
                parsed = recorded.parse({**run, "made_by": {**filled["made_by"], **seeded}, "measure": measure})
                if cell is not None and cell.how.judged and not parsed.criteria:
                    raise ValueError(f"{name} has no criteria")
                yield _Told(name, cell, parsed)


def _cells(row: str, column: str, out: Path) -> list[Cell]:
    known = rows.ROWS.get(row)
    return [] if known is None or column not in known.columns else cells([(known, column)], out, seeds=None)
