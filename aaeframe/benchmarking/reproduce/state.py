"""What stands in the folder of a cell, and what of it is left to do. It is told here alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from aaeframe.benchmarking.reproduce import divergence, measured
from aaeframe.benchmarking.reproduce.cells import Cell
from aaeframe.benchmarking.reproduce.columns import ByGenerator
from aaeframe.benchmarking.reproduce.criteria import criteria
from aaeframe.benchmarking.reproduce.found import Found, find
from aaeframe.benchmarking.reproduce.measured import Measured
from aaeframe.benchmarking.reproduce.rows import TEST
from aaeframe.build import resolve
from aaeframe.config import Config
from aaeframe.errors import AaeframeError, RunError
from aaeframe.registry import Registry

_FREE: Final = (("plugins",), ("data", "source"), ("data", "held_out"), ("training", "device"))
"""Parts of a configuration in which a run may differ from its preset."""


class State(StrEnum):
    """Where a cell stands."""

    NOTHING = "nothing"
    BEGUN = "begun"
    TRAINED = "trained"
    DONE = "done"
    OTHER_SETTINGS = "of other settings"
    OTHER_DATA = "of other data"
    DIVERGED = "diverged"
    UNREADABLE = "unreadable"


LEFT: Final = (State.NOTHING, State.BEGUN, State.TRAINED)
"""What is worked at."""


@dataclass(frozen=True)
class Standing:
    """A cell and what its folder holds."""

    cell: Cell
    state: State
    found: Found | Measured | None = None
    told: str = ""
    """Of a cell that is neither worked at nor counted: why, and what to do."""


def state(cell: Cell, registry: Registry) -> Standing:
    """Where the cell stands, on the data that is asked for. What cannot be read is told of, and never raised."""
    standing = as_it_is(cell, registry)
    if standing.found is None or standing.cell.of == cell.of:
        return standing
    told = f"{cell.folder} is of {standing.cell.of}, {cell.of} was asked; take another --out"
    return replace(standing, state=State.OTHER_DATA, told=told)


def as_it_is(cell: Cell, registry: Registry) -> Standing:
    """Where the cell stands, on whatever data it is: that is the cell's in what is returned."""
    try:
        return _standing(cell, registry)
    except AaeframeError as error:
        return Standing(cell, State.UNREADABLE, told=str(error))


def _standing(cell: Cell, registry: Registry) -> Standing:
    found = measured.read(cell.folder) if isinstance(cell.how, ByGenerator) else find(cell.folder)
    cell = _on_what_is_there(cell, found)
    changed = () if found is None else tuple(_changed(cell, found, registry))
    if changed:
        told = f"{cell.folder} is of other settings than the column's now: {', '.join(changed)}; "
        return Standing(cell, State.OTHER_SETTINGS, found, f"{told}remove it, or take another --out")
    diverged = divergence.read(cell.folder)
    if diverged is not None:
        told = f"{cell.folder} diverged: {diverged.sentence}; to try again, remove its {divergence.DIVERGED}"
        return Standing(cell, State.DIVERGED, found, told)
    if isinstance(found, Found):
        return Standing(cell, _how_far(cell, found), found)
    if found is not None:
        return Standing(cell, State.DONE, found)
    if cell.folder.exists() and not isinstance(cell.how, ByGenerator):
        raise RunError(f"{cell.folder} is no run: it has no config.toml; remove it, and the run is trained")
    return Standing(cell, State.NOTHING)


def _on_what_is_there(cell: Cell, found: Found | Measured | None) -> Cell:
    """The cell on the data of what was found; the column's own go without saying."""
    own = replace(cell, data=None)
    return own if found is None or found.data == own.of else replace(cell, data=found.data)


def _how_far(cell: Cell, run: Found) -> State:
    if not run.trained:
        return State.BEGUN
    if not {TEST, cell.row.evaluation} <= run.evaluations.keys():
        return State.TRAINED
    try:
        criteria(run.evaluations[TEST])
        cell.row.value(run.evaluations)
    except (KeyError, TypeError) as error:
        raise RunError(
            f"evaluation.json in {cell.folder} is no evaluation of this row: {error!r}; remove the file, and the run "
            "is evaluated anew"
        ) from error
    return State.DONE


def _changed(cell: Cell, found: Found | Measured, registry: Registry) -> Iterator[str]:
    """Keys of the configuration, or of a generator's settings, in which what is there is not what the column is now."""
    if isinstance(found, Found):
        yield from _differences(found.config, resolve(cell.config(), registry))
    elif isinstance(cell.how, ByGenerator):
        wanted = measured.settings(cell.how, cell.seed).as_dict()
        yield from (name for name in wanted if name != "device" and found.settings.get(name) != wanted[name])


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
