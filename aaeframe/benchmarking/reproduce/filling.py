"""Filling a cell: whatever of training, evaluation and likelihood its run lacks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

from aaeframe import run as runs
from aaeframe.benchmarking.reproduce.cells import Cell
from aaeframe.benchmarking.reproduce.found import find
from aaeframe.benchmarking.reproduce.rows import TEST
from aaeframe.evaluation.likelihood import Progress
from aaeframe.registry import Registry
from aaeframe.run import Hooks


class Stopped(Exception):
    """Asked to stop in the middle of an estimate, which goes on from where it is kept."""


@dataclass(frozen=True)
class Views:
    """How the pieces of work are followed, one at a time."""

    training: Callable[[], AbstractContextManager[Hooks]]
    """Opened around a training; the hooks ask to stop, too."""
    estimate: Callable[[], AbstractContextManager[Progress]]
    """Opened around the estimate of a likelihood."""


def is_filled(cell: Cell) -> bool:
    """Whether nothing is left to do."""
    found = find(cell.folder)
    return found is not None and {TEST, cell.row.evaluation} <= found.evaluations.keys()


def fill(cell: Cell, registry: Registry, views: Views, stop_asked: Callable[[], bool]) -> None:
    """Do what is left to do, until asked to stop; test rows are evaluated once.

    Whether it is all done is told by `is_filled`. Errors are those of training and evaluation.
    """
    try:
        for _ in _work(cell, registry, views, stop_asked):
            if stop_asked():
                return
    except Stopped:
        return


def _work(cell: Cell, registry: Registry, views: Views, stop_asked: Callable[[], bool]) -> Iterator[None]:
    """The pieces of work that are left, each done when it is asked for."""
    run = runs.load(cell.folder, registry) if cell.folder.exists() else None
    if run is None or not run.finished:
        with views.training() as hooks:
            if run is None:
                run = runs.start(cell.config(), registry, out=cell.folder, hooks=hooks)
            else:
                run = runs.resume(cell.folder, registry, hooks=hooks)
        yield
    found = find(cell.folder)
    assert found is not None
    if TEST not in found.evaluations:
        run.folder.write_evaluation(TEST, run.evaluate(split=TEST))
        yield
    if cell.row.samples is not None and cell.row.evaluation not in found.evaluations:
        with views.estimate() as progress:
            run.likelihood(split=TEST, samples=cell.row.samples, progress=_stoppable(progress, stop_asked))
        yield


def _stoppable(progress: Progress, stop_asked: Callable[[], bool]) -> Progress:
    """Progress that ends an estimate between two chunks; one that is whole is let through, to be kept."""

    def watch(doing: str, done: int, of: int) -> None:
        progress(doing, done, of)
        if 0 < done < of and stop_asked():
            raise Stopped

    return watch
