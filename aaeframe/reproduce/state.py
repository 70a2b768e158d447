"""What stands in the folder of a cell, and what of it is left to do. It is told here alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Final

from aaeframe.components.registry import Registry
from aaeframe.configuration.resolve import resolve
from aaeframe.configuration.schema import Config
from aaeframe.errors import AaeframeError, RunError
from aaeframe.reproduce import divergence, measured, recorded
from aaeframe.reproduce.cells import Cell, Given
from aaeframe.reproduce.columns import ByGenerator
from aaeframe.reproduce.criteria import criteria
from aaeframe.reproduce.found import Found, comparable, find
from aaeframe.reproduce.measured import Measured
from aaeframe.reproduce.recorded import Recorded
from aaeframe.reproduce.rows import TEST


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
    found: Found | Measured | Recorded | None = None
    told: str = ""
    """Of a cell that is neither worked at nor counted: why, and what to do."""

    @property
    def recorded(self) -> bool:
        """Whether it is a record that stands there, sound or not."""
        return isinstance(self.found, Recorded) or (self.found is None and recorded.path(self.cell).is_file())


def state(cell: Cell, registry: Registry) -> Standing:
    """Where the cell stands, on the data that is asked for. What cannot be read is told of, and never raised."""
    standing = as_it_is(cell, registry)
    if standing.found is None or standing.cell.of == cell.of:
        return standing
    place = recorded.path(cell) if isinstance(standing.found, Recorded) else cell.folder
    told = f"{place} is of {standing.cell.of}, {cell.of} was asked; take another --out"
    return replace(standing, state=State.OTHER_DATA, told=told)


def as_it_is(cell: Cell, registry: Registry) -> Standing:
    """Where the cell stands, on whatever data it is: that is the cell's in what is returned."""
    try:
        here = _here(cell, registry)
        if here.state not in LEFT:
            return here
        run = recorded.read(cell)
        if run is None:
            return here
        record = _of(cell, run, recorded.path(cell), registry)
        # A record of other settings does not keep a run that is at hand from its end.
        return here if record.told and here.state is not State.NOTHING else record
    except AaeframeError as error:
        return Standing(cell, State.UNREADABLE, told=str(error))


def _here(cell: Cell, registry: Registry) -> Standing:
    """What the folder of the cell holds."""
    found = measured.read(cell.folder) if isinstance(cell.how, ByGenerator) else find(cell.folder)
    standing = Standing(cell, State.NOTHING) if found is None else _of(cell, found, cell.folder, registry)
    if standing.told:
        return standing
    diverged = divergence.read(cell.folder)
    if diverged is not None:
        told = f"{cell.folder} diverged: {diverged.sentence}; to try again, remove its {divergence.DIVERGED}"
        return replace(standing, state=State.DIVERGED, told=told)
    if found is None and cell.folder.exists() and not isinstance(cell.how, ByGenerator):
        raise RunError(f"{cell.folder} is no run: it has no config.toml; remove it, and the run is trained")
    return standing


def _of(cell: Cell, found: Found | Measured | Recorded, place: Path, registry: Registry) -> Standing:
    """Where the cell stands by what was found at a place, if nothing else stands there."""
    cell = _on_data(cell, found.data)
    others = different(cell, found, registry)
    if others:
        told = f"{place} is of other settings than the column's now: {', '.join(others)}; "
        return Standing(cell, State.OTHER_SETTINGS, found, f"{told}remove it, or take another --out")
    return Standing(cell, _how_far(cell, found) if isinstance(found, Found) else State.DONE, found)


def _on_data(cell: Cell, data: Given) -> Cell:
    """The cell on the data of what was found; the column's own go without saying."""
    own = replace(cell, data=None)
    return own if data == own.of else replace(cell, data=data)


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


def different(cell: Cell, found: Found | Measured | Recorded, registry: Registry) -> list[str]:
    """The settings, by dotted keys, in which what was made is not what the cell's column is now; "measure" among them
    if a record's number is of something else. A setting that is newer than a record was at its default."""
    if isinstance(cell.how, ByGenerator):
        wanted, defaults = measured.comparable(measured.settings(cell.how, cell.seed).as_dict()), {}
    else:
        wanted, defaults = comparable(resolve(cell.config(), registry)), comparable(Config())
    made_by = {**{key: defaults[key] for key in wanted if key in defaults}, **found.made_by}
    others = [key for key in sorted({*made_by, *wanted}) if made_by.get(key) != wanted.get(key)]
    return [*others, "measure"] if isinstance(found, Recorded) and found.measure != cell.row.measure else others
