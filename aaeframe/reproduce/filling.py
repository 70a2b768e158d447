"""Filling a cell: whatever of training, evaluation and likelihood its run lacks, or a generator as a whole."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

from aaeframe.components.registry import Registry
from aaeframe.errors import CheckpointError, RunError, TrainingDiverged
from aaeframe.evaluation.likelihood import Progress
from aaeframe.reproduce import divergence, measured
from aaeframe.reproduce.cells import Cell
from aaeframe.reproduce.columns import ByGenerator
from aaeframe.reproduce.found import find
from aaeframe.reproduce.rows import TEST
from aaeframe.reproduce.state import State, state
from aaeframe.runs import run as runs
from aaeframe.runs import start as starting
from aaeframe.runs.run import Run
from aaeframe.runs.start import Observers
from aaeframe.storage import checkpoint as checkpoints
from aaeframe.storage.run_folder import RunFolder


class Stopped(Exception):
    """Asked to stop in the middle of an estimate, which goes on from what is kept, or of a generator, which begins
    anew."""


class SetAside(RunError):
    """What stands in the folder of a cell is neither worked at nor counted."""


@dataclass(frozen=True)
class Until:
    """Whether to stop: that was asked for, or the time is up."""

    asked: Callable[[], bool]
    deadline: float | None
    """On the monotonic clock, in seconds; None: there is time."""

    @property
    def late(self) -> bool:
        """Whether the time is up."""
        return self.deadline is not None and time.monotonic() >= self.deadline

    def __call__(self) -> bool:
        """Whether to stop."""
        return self.asked() or self.late


@dataclass(frozen=True)
class Views:
    """How the pieces of work are followed, one at a time."""

    training: Callable[[], AbstractContextManager[Observers]]
    """Opened around a training; the hooks ask to stop, too."""
    estimate: Callable[[], AbstractContextManager[Progress]]
    """Opened around the estimate of a likelihood."""
    generator: Callable[[], AbstractContextManager[Progress]]
    """Opened around the training and the estimate of a generator, whose epochs are told as samples are."""
    warn: Callable[[str], None]
    """Called with sentences worth telling of a trained run that is only judged."""


def is_filled(cell: Cell, registry: Registry) -> bool:
    """Whether nothing is left to do."""
    return state(cell, registry).state is State.DONE


def fill(cell: Cell, registry: Registry, views: Views, stop_asked: Callable[[], bool]) -> None:
    """Do what is left to do, until asked to stop; test rows are evaluated once.

    Whether it is all done is told by `is_filled`; of a generator that is stopped nothing is kept. SetAside if what
    stands there is not to be worked at; else errors are those of training and evaluation, and a divergence is kept.
    """
    told = state(cell, registry).told
    if told:
        raise SetAside(told)
    try:
        if isinstance(cell.how, ByGenerator):
            with views.generator() as progress:
                measured.measure(cell, cell.how, _stoppable(progress, stop_asked, least=0))
            return
        for _ in _work(cell, registry, views, stop_asked):
            if stop_asked():
                return
    except Stopped:
        return
    except TrainingDiverged as error:
        divergence.write(cell.folder, error)
        raise


def _work(cell: Cell, registry: Registry, views: Views, stop_asked: Callable[[], bool]) -> Iterator[None]:
    """The pieces of work that are left, each done when it is asked for."""
    run = _trained(cell, registry, views.warn)
    if run is None:
        with views.training() as observers:
            if _begun(cell):
                run = starting.resume(cell.folder, registry, observers=observers)
            else:
                run = starting.start(cell.config(), registry, out=cell.folder, observers=observers)
        yield
    found = find(cell.folder)
    assert found is not None
    if TEST not in found.evaluations:
        run.folder.write_evaluation(TEST, run.evaluate(split=TEST))
        yield
    if cell.row.samples is not None and cell.row.evaluation not in found.evaluations:
        with views.estimate() as progress:
            run.likelihood(split=TEST, samples=cell.row.samples, progress=_stoppable(progress, stop_asked, least=1))
        yield


def _trained(cell: Cell, registry: Registry, warn: Callable[[str], None]) -> Run | None:
    """The run, if it is trained to its end; None if it is not, or no longer, as its newest checkpoint is damaged."""
    if not _begun(cell):
        return None
    told: list[str] = []
    try:
        run = runs.load(cell.folder, registry, warn=told.append)
    except CheckpointError:  # told of by who goes on with it, from an older checkpoint or not
        return None
    if not run.finished:  # who goes on with it is told as much
        return None
    for sentence in told:
        warn(sentence)
    return run


def _begun(cell: Cell) -> bool:
    """Whether there is a run to go on with; what was stopped before its first checkpoint is removed."""
    folder, found = RunFolder(cell.folder), find(cell.folder)
    if found is None:
        return False
    if found.epochs == 0 and not checkpoints.paths(folder.checkpoints):
        shutil.rmtree(folder.path)
        return False
    return True


def _stoppable(progress: Progress, stop_asked: Callable[[], bool], *, least: int) -> Progress:
    """Progress that ends work between two chunks or epochs, of which at least so many are done; what is whole is let
    through, to be kept."""

    def watch(doing: str, done: int, of: int) -> None:
        progress(doing, done, of)
        if least <= done < of and stop_asked():
            raise Stopped

    return watch
