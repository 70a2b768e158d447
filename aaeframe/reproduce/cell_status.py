"""The state of a cell by its record, and the settings that a record must have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from aaeframe.components.registry import Registry
from aaeframe.configuration.changes import as_saved
from aaeframe.configuration.resolve import resolve
from aaeframe.configuration.schema import Config
from aaeframe.errors import AaeframeError, RunError
from aaeframe.reproduce import rivals
from aaeframe.reproduce.cells import Cell
from aaeframe.reproduce.experiments import ByGenerator
from aaeframe.reproduce.record import PRECISION, Record, read
from aaeframe.reproduce.rivals import GeneratorSettings

_FREE: Final = ("data.source", "data.held_out", "data.label_key", "training.device", "evaluation.metrics")
"""Settings in which a run may differ from its preset; the versions of plugins are free, too."""


class State(StrEnum):
    """The state of a cell."""

    MISSING = "missing"
    UNFINISHED = "unfinished"
    DONE = "done"
    DIVERGED = "diverged"
    OTHER_SETTINGS = "of other settings"
    OTHER_DATA = "of other data"
    UNREADABLE = "unreadable"


@dataclass(frozen=True)
class CellStatus:
    """A cell, with the data and the precision of its record, and its state."""

    cell: Cell
    state: State
    record: Record | None = None
    reason: str = ""
    """Why the cell is neither worked on nor counted, and what to do; empty if it is."""


def status(cell: Cell, registry: Registry) -> CellStatus:
    """The status by the cell's record alone. Whatever cannot be read is a reason, never an exception."""
    try:
        record = read(cell.record)
        return CellStatus(cell, State.MISSING) if record is None else compare(cell, record, cell.record, registry)
    except AaeframeError as error:
        return CellStatus(cell, State.UNREADABLE, reason=str(error))


def compare(cell: Cell, record: Record, place: Path, registry: Registry) -> CellStatus:
    """The status by a record, found at `place`, if its settings are still the column's."""
    here = CellStatus(cell.made_with(record.data, record.precision), State.UNFINISHED, record)
    changed = changed_settings(here.cell, record, registry)
    if changed:
        reason = f"{place} is of other settings than the column's now: {', '.join(changed)}; "
        return replace(here, state=State.OTHER_SETTINGS, reason=f"{reason}remove it, or take another --out")
    if record.diverged is not None:
        reason = f"{cell.folder} diverged: {record.diverged}; to try again, remove {place}"
        return replace(here, state=State.DIVERGED, reason=reason)
    if record.value is None:
        return here
    if cell.filled_by.has_criteria and not record.criteria:
        raise RunError(f"{place} has no criteria; remove it, and the cell is made anew")
    return replace(here, state=State.DONE)


def changed_settings(cell: Cell, record: Record, registry: Registry) -> list[str]:
    """The dotted keys of settings in which a record differs from the cell's column now.

    "measure" is among them if its value measures something else. A setting that is newer than the record was at its
    default. The precision may be another one.
    """
    if not record.settings:
        return ["the record does not list its settings"]
    wanted = settings_of(cell, registry)
    defaults = {} if isinstance(cell.filled_by, ByGenerator) else comparable(Config())
    settings = {**{key: defaults[key] for key in wanted if key in defaults}, **record.settings}
    changed = [key for key in sorted({*settings, *wanted} - {PRECISION}) if settings.get(key) != wanted.get(key)]
    return changed if record.measure == cell.experiment.measure else [*changed, "measure"]


def settings_of(cell: Cell, registry: Registry) -> dict[str, Any]:
    """The settings that a record of the cell must have."""
    if isinstance(cell.filled_by, ByGenerator):
        return comparable_generator(generator_settings(cell.filled_by, cell.seed).as_dict())
    return comparable(resolve(cell.config(), registry).config)


def comparable(config: Config) -> dict[str, Any]:
    """JSON-like, by dotted keys: a resolved configuration without what may differ from the preset."""
    return {k: it for k, it in as_saved(config).items() if k not in _FREE and not k.startswith("plugins.")}


def generator_settings(column: ByGenerator, seed: int) -> GeneratorSettings:
    """The settings of a generator with this seed, on the first GPU if there is one."""
    return replace(rivals.DEFAULTS[column.kind], seed=seed, device="auto")


def comparable_generator(settings: Mapping[str, Any]) -> dict[str, Any]:
    """JSON-like: the settings of a generator without the device."""
    return {name: value for name, value in settings.items() if name != "device"}
