"""Taking runs from the table of another folder, so that they stand in this one's table and are not made anew."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from aaeframe.benchmarking.reproduce import recorded, rows
from aaeframe.benchmarking.reproduce.cells import Cell, cells
from aaeframe.benchmarking.reproduce.recorded import Recorded
from aaeframe.benchmarking.reproduce.state import changed
from aaeframe.errors import ConfigError
from aaeframe.json_text import loads_json
from aaeframe.registry import Registry

SEED: Final[Mapping[bool, str]] = MappingProxyType({False: "training.seed", True: "seed"})
"""Where the settings of a run, or of a generator, have the seed, which a table tells apart from them."""


def take(table: Path, out: Path, registry: Registry) -> list[str]:
    """Keep in `out` what a table's JSON tells of runs that are done; sentences about those that are not taken.

    ConfigError if the file is no such table; RunError if what it tells cannot be kept. Of two tables that tell of one
    run, the later stands.
    """
    told: list[str] = []
    try:
        found = list(_runs(loads_json(table.read_text("utf-8")), out))
    except OSError as error:
        raise ConfigError(f"cannot read {table}: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"{table} is no table of aaeframe reproduce: {error!r}; give the results.json that it wrote"
        ) from error
    for name, cell, run in found:
        if cell is None:
            told.append(f"{name} of {table} is not taken: there is no such run here")
        elif different := changed(replace(cell, data=run.data), run.made_by, registry):
            told.append(f"{name} of {table} is not taken: its settings are others now: {', '.join(different)}")
        else:
            recorded.write(cell, run)
    return told


def _runs(table: Mapping[str, Any], out: Path) -> Iterator[tuple[str, Cell | None, Recorded]]:
    """The runs that a table tells of, by name, and the cell of each, if it has one here."""
    for row in table["rows"].values():
        for column, filled in row["columns"].items():
            here = {it.seed: it for it in _cells(row["name"], column, out)}
            for run in filled["seeds"]:
                seeded = {SEED[filled["generator"] is not None]: run["seed"]}
                parsed = recorded.parse({**run, "made_by": {**filled["made_by"], **seeded}})
                yield f"{row['name']}, {column}, seed {run['seed']}", here.get(run["seed"]), parsed


def _cells(row: str, column: str, out: Path) -> list[Cell]:
    known = rows.ROWS.get(row)
    return [] if known is None or column not in known.columns else cells([(known, column)], out, seeds=None)
