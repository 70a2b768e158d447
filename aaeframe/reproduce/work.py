"""Work on cells: train, evaluate and estimate what a cell lacks, and write its record."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

from aaeframe import data as datasets
from aaeframe.components.registry import Registry
from aaeframe.configuration.reading import ReadOptions
from aaeframe.data.identity import changes, identity
from aaeframe.errors import AaeframeError, CheckpointError, RunError, TrainingDiverged
from aaeframe.evaluation.likelihood import Progress
from aaeframe.reproduce import cell_status, outcome, record, rivals
from aaeframe.reproduce.cell_status import CellStatus, State
from aaeframe.reproduce.cells import Cell, DataOverride
from aaeframe.reproduce.experiments import TEST, ByGenerator
from aaeframe.reproduce.outcome import RESULT
from aaeframe.runs import start as starting
from aaeframe.runs.loading import load
from aaeframe.runs.reading import read_config
from aaeframe.runs.run import Run
from aaeframe.runs.start import Callbacks
from aaeframe.storage import checkpoint as checkpoints
from aaeframe.storage.atomic import write_atomically, writing
from aaeframe.storage.metrics_file import MetricsRow
from aaeframe.storage.run_folder import RunFolder
from aaeframe.training.device import environment
from aaeframe.training.loop import Display
from aaeframe.version import __version__


class Stopped(Exception):
    """Asked to stop within an estimate, which is resumed later, or within a generator, which starts anew."""


class SetAside(RunError):
    """The content of a cell's folder is neither worked on nor counted."""


@dataclass(frozen=True)
class Deadline:
    """A request to stop: the user asked for it, or the time is up."""

    asked: Callable[[], bool]
    deadline: float | None
    """Seconds on the monotonic clock; None if there is no limit."""

    @property
    def late(self) -> bool:
        """Whether the time is up."""
        return self.deadline is not None and time.monotonic() >= self.deadline

    def __call__(self) -> bool:
        """Whether to stop."""
        return self.asked() or self.late


@dataclass(frozen=True)
class ProgressHooks:
    """Displays for the pieces of work, opened one at a time."""

    training: Callable[[], AbstractContextManager[Callbacks]]
    """Opened around a training; the callbacks ask to stop, too."""
    estimate: Callable[[], AbstractContextManager[Progress]]
    """Opened around the estimate of a likelihood."""
    generator: Callable[[], AbstractContextManager[Progress]]
    """Opened around the training and the estimate of a generator, which reports epochs like samples."""
    warn: Callable[[str], None]
    """Called with warnings about a trained run that is only evaluated."""


def status(cell: Cell, registry: Registry) -> CellStatus:
    """The status of a cell on the data asked for: by its record or, if that is not final, by the folder of its run."""
    found = _status(cell, registry)
    if found.record is None:
        return found
    place = cell.folder if cell.folder.exists() else cell.record
    if found.cell.actual_data != cell.actual_data:
        reason = f"{place} is of {found.cell.actual_data}, {cell.actual_data} was asked; take another --out"
        return replace(found, state=State.OTHER_DATA, reason=reason)
    if found.state is State.UNFINISHED and cell.precision not in (None, found.record.precision):
        begun = f"{place} was begun in {found.record.precision}"
        reason = f"{begun}; leave --precision out, remove it, or take another --out"
        return replace(found, state=State.OTHER_SETTINGS, reason=reason)
    return found


def _status(cell: Cell, registry: Registry) -> CellStatus:
    recorded = cell_status.status(cell, registry)
    if recorded.state not in (State.MISSING, State.UNFINISHED, State.OTHER_SETTINGS):
        return recorded
    here = _status_of_folder(cell, registry)
    # A record of other settings does not keep a run that is here from its end.
    return here if here.state is not State.MISSING or recorded.state is State.UNFINISHED else recorded


def _status_of_folder(cell: Cell, registry: Registry) -> CellStatus:
    """The status by the cell's folder, where even a run that is done lacks its record."""
    try:
        found = outcome.of_cell(cell)
        if found is not None:
            here = cell_status.compare(cell, found, cell.folder, registry)
            return here if here.reason else replace(here, state=State.UNFINISHED)
        if cell.folder.exists() and not isinstance(cell.filled_by, ByGenerator):
            raise RunError(f"{cell.folder} is no run: it has no config.toml; remove it, and the run is trained")
    except AaeframeError as error:
        return CellStatus(cell, State.UNREADABLE, reason=str(error))
    return CellStatus(cell, State.MISSING)


def other_rows(todo: Iterable[Cell]) -> Iterator[str]:
    """Sentences on cells that were made from another file than the one asked for, which has the same name.

    The file is read once for all cells; DataError if it cannot be read. A run that cannot be read is not compared, nor
    a result without a record: the status of its cell says so. Nor is an older result, which has no entry "data". A run
    whose own file changed is not found here: resuming does so. RunError for a result that cannot be read but is
    recorded.
    """
    rows_now = cache(lambda source, options: identity(datasets.load(source, options)))
    for cell in {it.folder: it for it in todo}.values():
        if cell.data is None or not Path(cell.data.source).exists():
            continue
        compare = _changes_of_generator if isinstance(cell.filled_by, ByGenerator) else _changes_of_run
        source, found = compare(cell, cell.data, rows_now)
        if found:
            same = Path(source).absolute() == Path(cell.data.source).absolute()
            now = ", which now has" if same else f"; {cell.data.source} has the same name, but"
            yield f"{cell.folder} was trained on {source}{now} {', '.join(found)}; take another --out"


_RowsNow: TypeAlias = Callable[[str, ReadOptions], Mapping[str, Any]]
"""The identity of the rows in a file now."""


def _changes_of_run(cell: Cell, data: DataOverride, rows_now: _RowsNow) -> tuple[str, list[str]]:
    """The file of the cell's run, and how the rows of the data differ."""
    folder = RunFolder(cell.folder)
    try:
        config = read_config(folder)
        if Path(config.data.source) == Path(data.source).absolute():
            return config.data.source, []
        known = checkpoints.newest_or_raise(folder.checkpoints).state["data"]
    except (AaeframeError, KeyError):
        return "", []
    return config.data.source, changes(known, rows_now(data.source, config.data.reading))


def _changes_of_generator(cell: Cell, data: DataOverride, rows_now: _RowsNow) -> tuple[str, list[str]]:
    """The file of the cell's generator, and how the rows of the data differ."""
    path = cell.folder / RESULT
    if path.is_file():
        now = rows_now(data.source, data.reading)
        try:
            with outcome.reading_result(path) as report:
                return report["dataset"], changes(report["data"], now) if "data" in report else []
        except RunError as error:
            if any(it.record.exists() for it in cell.sharing):
                raise RunError(
                    f"the rows of {path} cannot be compared with those of {data.source}: {error.__cause__!r}; restore "
                    "the file, or take another --out"
                ) from error
    return "", []


def is_left(cell: Cell, registry: Registry) -> bool:
    """Whether there is work to do."""
    return status(cell, registry).state in (State.MISSING, State.UNFINISHED)


def is_done(cell: Cell, registry: Registry) -> bool:
    """Whether the cell has its number."""
    return status(cell, registry).state is State.DONE


def fill(cell: Cell, registry: Registry, hooks: ProgressHooks, stop_asked: Callable[[], bool]) -> None:
    """Do what is left to do, until asked to stop, and write the record. Test rows are evaluated once.

    `is_done` says whether it is finished. A generator that is stopped leaves nothing.

    Raises:
        SetAside: the folder or the record is of other settings or data, has diverged, or cannot be read.
        AaeframeError: training or evaluation failed; a divergence is recorded.
    """
    reason = status(cell, registry).reason
    if reason:
        raise SetAside(reason)
    try:
        for _ in _work(cell, registry, hooks, stop_asked):
            _write_records(cell, registry)
            if stop_asked():
                return
        _write_records(cell, registry)
    except Stopped:
        return
    except TrainingDiverged as error:
        _write_divergence(cell, registry, " ".join(str(error).split()))
        raise


def _write_records(cell: Cell, registry: Registry) -> None:
    """Record the cells that share the run and are done; of unfinished ones, only the one that owns the run."""
    for it in cell.sharing:
        found = outcome.of_cell(it)
        if found is None or (not found.finished and it.experiment.folder != it.experiment.name):
            continue
        known = cell_status.status(it, registry)
        unfinished = known.state is State.MISSING or (known.record is not None and not known.record.finished)
        if found.finished or unfinished:
            record.write(it.record, found)


def _write_divergence(cell: Cell, registry: Registry, sentence: str) -> None:
    for it in cell.sharing:
        if cell_status.status(it, registry).state is not State.DONE:
            found = outcome.of_cell(it) or outcome.of_nothing(it, registry)
            record.write(it.record, found.model_copy(update={"value": None, "diverged": sentence}))


def recount(cell: Cell) -> None:
    """Add accesses to test rows that were made by hand after the record was written."""
    found = record.read(cell.record)
    accesses = outcome.count_lines(RunFolder(cell.folder).test_accesses)
    if found is not None and not found.recorded and accesses > found.test_accesses:
        record.write(cell.record, found.model_copy(update={"test_accesses": accesses}))


def _work(cell: Cell, registry: Registry, hooks: ProgressHooks, stop_asked: Callable[[], bool]) -> Iterator[None]:
    """The pieces of work that are left, each done when it is asked for."""
    if isinstance(cell.filled_by, ByGenerator):
        if not (cell.folder / RESULT).is_file():
            with hooks.generator() as progress:
                _measure(cell, cell.filled_by, _stoppable(progress, stop_asked, least=0))
        return
    run = _trained(cell, registry, hooks.warn)
    if run is None:
        with hooks.training() as shown:
            recording = _Recording(shown.display, lambda: _write_records(cell, registry))
            callbacks = replace(shown, display=recording)
            if _has_begun(cell):
                run = starting.resume(cell.folder, registry, callbacks=callbacks)
            else:
                run = starting.start(cell.config(), registry, out=cell.folder, callbacks=callbacks)
        yield
    folder = RunFolder(cell.folder)
    evaluations = outcome.evaluations_of(folder, read_config(folder), outcome.metrics_of(folder))
    if TEST not in evaluations:
        folder.write_evaluation(TEST, run.evaluate(split=TEST, warn=hooks.warn))
        yield
    samples = cell.experiment.samples
    if samples is not None and cell.experiment.evaluation not in evaluations:
        with hooks.estimate() as progress:
            run.likelihood(split=TEST, samples=samples, progress=_stoppable(progress, stop_asked, least=1))


@dataclass(frozen=True)
class _Recording:
    """A display that also records each epoch, so that the table lists a run while it trains or after it is killed."""

    shown: Display
    record: Callable[[], None]

    def stepped(self, epoch: int, step: int) -> None:
        """Pass it on."""
        self.shown.stepped(epoch, step)

    def epoch_ended(self, row: MetricsRow, warnings: list[str]) -> None:
        """Pass it on, then record."""
        self.shown.epoch_ended(row, warnings)
        self.record()


def _trained(cell: Cell, registry: Registry, warn: Callable[[str], None]) -> Run | None:
    """The run, if it is trained to its end; None if it is not, or if its newest checkpoint is damaged."""
    if not _has_begun(cell):
        return None
    warnings: list[str] = []
    try:
        run = load(cell.folder, registry, warn=warnings.append)
    except CheckpointError:  # resuming reports it, from an older checkpoint or not
        return None
    if not run.finished:  # resuming gives the same warnings
        return None
    for sentence in warnings:
        warn(sentence)
    return run


def _has_begun(cell: Cell) -> bool:
    """Whether there is a run to resume; one that was stopped before its first checkpoint is removed."""
    folder = RunFolder(cell.folder)
    if not folder.config.is_file():
        return False
    if not outcome.metrics_of(folder) and not checkpoints.paths(folder.checkpoints):
        shutil.rmtree(folder.path)
        return False
    return True


def _measure(cell: Cell, column: ByGenerator, progress: Progress) -> None:
    """Train and measure the cell's generator, and write the result, whole or not at all.

    Whatever `progress` raises ends it between two epochs or two chunks of samples. Then only the access to test rows
    is written, if it came to that.
    """
    assert cell.experiment.samples is not None
    settings, data = cell_status.generator_settings(column, cell.seed), cell.data or DataOverride(column.data)
    dataset = datasets.load(data.source, data.reading)
    logging = _logging(cell.folder, cell.experiment.samples, progress)
    report = rivals.measure(column.kind, dataset, settings, cell.experiment.samples, logging)
    report |= {"held_out": data.held_out, "label_key": data.label_key, "data": identity(dataset)}
    report |= {"version": __version__, "environment": environment(settings.place)}
    text = json.dumps(report, indent=1, allow_nan=False)
    write_atomically(cell.folder / RESULT, f"{text}\n".encode())


def _logging(folder: Path, samples: int, progress: Progress) -> Progress:
    """Progress that logs the access right before the first samples meet the test rows."""

    def watch(doing: str, done: int, of: int) -> None:
        progress(doing, done, of)
        if (doing, done) == ("test", 0):
            with writing(folder):
                folder.mkdir(parents=True, exist_ok=True)
            RunFolder(folder).log_test_access({"purpose": f"likelihood, {samples} samples"})

    return watch


def _stoppable(progress: Progress, stop_asked: Callable[[], bool], *, least: int) -> Progress:
    """Progress that can end work between two chunks or epochs, after at least so many.

    Finished work is let through, to be kept.
    """

    def watch(doing: str, done: int, of: int) -> None:
        progress(doing, done, of)
        if least <= done < of and stop_asked():
            raise Stopped

    return watch
