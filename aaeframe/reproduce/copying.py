"""Copy the records of other folders, whose cells need not be made anew."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from aaeframe.components.registry import Registry
from aaeframe.errors import AaeframeError, ConfigError, RunError
from aaeframe.reproduce import cell_status, record
from aaeframe.reproduce.cell_status import State
from aaeframe.reproduce.cells import Cell, DataOverride, cells, find
from aaeframe.reproduce.record import Record
from aaeframe.reproduce.work import status


def copy_records(folders: Sequence[Path], asked: Iterable[Cell], out: Path, registry: Registry) -> list[str]:
    """Copy the records of finished cells from other folders into `out`.

    A column has one data: the data asked for, or else that of its cells here, or else that of the first record copied.
    Records made here are never replaced. If two records are of one cell, the later one is kept.

    Returns:
        Sentences about records that were not copied.

    Raises:
        ConfigError: a folder holds no records, or one that cannot be read; then nothing is copied.
        RunError: a record cannot be written.
    """
    found = [it for folder in folders for it in _records_in(folder, out)]
    data = {_column(cell): cell.actual_data for cell in asked}
    copied, left = [], []
    for path, cell, content in found:
        reason = _why_not(cell, content, data, registry)
        if cell is None or reason:
            left.append(f"{path} is not copied: {reason}")
            continue
        data[_column(cell)] = content.data
        here = cell_status.status(cell, registry)
        if here.state not in (State.DONE, State.DIVERGED) or (here.record is not None and here.record.recorded):
            copied.append((cell, content))
    for cell, content in copied:
        record.write(cell.record, content.model_copy(update={"recorded": True}))
    return left


def _records_in(folder: Path, out: Path) -> list[tuple[Path, Cell | None, Record]]:
    """The records of a folder, or of the table in it, with the cells that they are of."""
    inner = folder / "records"
    paths = sorted((inner if inner.is_dir() else folder).glob("*/*/seed-*/record.json"))
    if not paths:
        raise ConfigError(f"{folder} holds no records; give the folder of a table, or its records")
    found = []
    for path in paths:
        try:
            content = record.read(path)
        except RunError as error:
            raise ConfigError(str(error)) from error
        row, column, seed = path.parts[-4:-1]
        cell = find(row, column, seed, out)
        if content is None:  # removed meanwhile
            continue
        if cell is not None and cell.filled_by.has_criteria and content.value is not None and not content.criteria:
            raise ConfigError(f"{path} is no record: it has no criteria")
        found.append((path, cell, content))
    return found


def _why_not(
    cell: Cell | None, content: Record, data: Mapping[tuple[str, str], DataOverride], registry: Registry
) -> str:
    """The reason not to copy a record, where columns are on such data already; empty if there is none."""
    if cell is None:
        return "there is no such cell here"
    if not content.finished:
        return "it is unfinished"
    try:
        changed = cell_status.changed_settings(cell, content, registry)
    except AaeframeError as error:
        return str(error)
    if changed:
        return f"its settings are others now: {', '.join(changed)}"
    here = data.get(_column(cell)) or _data_here(cell, registry)
    if here not in (None, content.data):
        return f"it is of {content.data}, the column here of {here}; take another --out"
    return ""


def _column(cell: Cell) -> tuple[str, str]:
    return cell.experiment.folder, cell.column


def _data_here(cell: Cell, registry: Registry) -> DataOverride | None:
    """The data of any cell of the column in this folder."""
    every = (status(it, registry).record for it in cells([(cell.experiment, cell.column)], cell.out, seeds=None))
    return next((it.data for it in every if it is not None), None)
