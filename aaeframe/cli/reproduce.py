"""`aaeframe reproduce`."""

from __future__ import annotations

import shlex
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aaeframe.cli import options
from aaeframe.errors import AaeframeError, ConfigError

if TYPE_CHECKING:
    from rich.console import Console

    from aaeframe.components.registry import Registry
    from aaeframe.evaluation.likelihood import Progress
    from aaeframe.reproduce.cells import Cell, DataOverride
    from aaeframe.reproduce.experiments import Experiment
    from aaeframe.reproduce.table import Result
    from aaeframe.reproduce.work import Deadline
    from aaeframe.storage.output import Output


def reproduce(
    context: typer.Context,
    row: Annotated[
        list[str] | None,
        typer.Argument(metavar="ROW", help="Experiments, as in --list; all on MNIST if not given.", show_default=False),
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option("--column", metavar="COLUMN", help="Of the table; may be repeated; the main ones if not given."),
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="The first N seeds of each column; all if not given.")
    ] = None,
    budget: Annotated[
        float | None,
        typer.Option(min=0, metavar="MINUTES", help="Stop after so long; the same command goes on from there."),
    ] = None,
    out: Annotated[
        Path, typer.Option(parser=options.folder, metavar="FOLDER", help="Where runs and results are.")
    ] = Path("reproduction"),
    data: Annotated[
        str | None, typer.Option(metavar="NAME|PATH", help="In place of the presets' data, for rows that are named.")
    ] = None,
    label_key: Annotated[
        str | None, typer.Option(metavar="NAME", help="Column or array of --data that holds the labels.")
    ] = None,
    held_out: Annotated[
        tuple[int, int] | None,
        typer.Option(metavar="VALIDATION TEST", help="Rows of --data that are held out; a tenth each if not given."),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Arithmetic in place of the presets': fp32 where a CPU has no bfloat16."),
    ] = None,
    recorded: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FOLDER",
            help="A folder of records, as in benchmarks/results, whose cells are not made anew; may be repeated.",
        ),
    ] = None,
    curves: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Draw the errors on validation rows, epoch by epoch, of the rows and columns asked for, .png; - is "
            "standard output.",
        ),
    ] = None,
    list_only: Annotated[
        bool, typer.Option("--list", help="Train nothing: list rows, columns, what fills them, and what is done.")
    ] = False,
    json: options.Json = False,
) -> None:
    """Train and evaluate the paper's experiments, and print its tables with our columns.

    Each finished cell has a record.json under FOLDER/records, and is not made again. Several processes may fill one
    folder. A run that diverged is tried again once its record is removed. Runs and records of other settings, and
    those that cannot be read, are reported and not used. Records of other machines are copied with --recorded.
    """
    from aaeframe.reproduce.cells import cells, selected

    if list_only:
        _refuse_with_list({"--seeds": seeds, "--budget": budget, "--curves": curves})
    given, chosen = _given(row or (), data, label_key, held_out), selected(row or (), column or ())
    if precision is not None:
        _check_precision(precision, chosen, list_only)
    todo, registry = cells(chosen, out, seeds=seeds, data=given, precision=precision), options.registry(context)
    picture = None if curves is None else options.output(curves, [".png"], json=json, option="--curves")
    if not list_only:
        _check_given(given)
        _check_data(todo, registry)
    _copy(recorded or (), todo, out, registry)
    if list_only:
        _list(row or (), column or (), out, given, registry, json)
        return
    code = _fill(todo, out, registry, budget)
    found = _report(out, registry, json, picture)
    if picture is not None:
        _draw(found, chosen, picture)
    raise typer.Exit(code)


def _refuse_with_list(given: Mapping[str, object]) -> None:
    """ConfigError for an option that --list would not use."""
    for option, value in given.items():
        if value is not None:
            raise ConfigError(f"--list trains nothing, so {option} has no effect; leave one of them out")


def _given(
    names: Sequence[str], data: str | None, label_key: str | None, held_out: tuple[int, int] | None
) -> DataOverride | None:
    """The data instead of the presets'. ConfigError if no row is named, or if other options need --data."""
    from aaeframe.reproduce.cells import DataOverride

    if data is None:
        if held_out is not None:
            raise ConfigError("--held-out is of the rows of --data, which was not given; the presets' data is split")
        if label_key is not None:
            raise ConfigError("--label-key names the labels of --data, which was not given; leave it out")
        return None
    if not names:
        raise ConfigError("--data is in place of the data of rows that are named; name them: aaeframe reproduce ROW")
    if held_out is not None and 0 in held_out:
        empty = "the test" if held_out[0] else "validation"
        raise ConfigError(
            f"--held-out {held_out[0]} {held_out[1]} leaves no rows for {empty}; hold out at least one for each"
        )
    return DataOverride(data, held_out, label_key)


def _copy(folders: Sequence[Path], todo: Sequence[Cell], out: Path, registry: Registry) -> None:
    from aaeframe.cli.console import note
    from aaeframe.reproduce.copying import copy_records

    for sentence in copy_records(folders, todo, out, registry):
        note(sentence)


def _check_given(given: DataOverride | None) -> None:
    """Refuse data that cannot be loaded before any work."""
    from aaeframe import data as datasets

    if given is not None:
        datasets.load(given.source, given.reading)


def _check_precision(precision: str, chosen: Iterable[tuple[Experiment, str]], list_only: bool) -> None:
    """Refuse a precision that this machine has not, or that nothing would be trained in."""
    from aaeframe.reproduce.experiments import ByPreset
    from aaeframe.training.device import check_precision, pick

    if list_only or not any(isinstance(it.columns[column], ByPreset) for it, column in chosen):
        raise ConfigError("--precision is of runs that are trained by a preset, and none is; leave it out")
    check_precision(precision, pick("auto"))


def _check_data(todo: Sequence[Cell], registry: Registry) -> None:
    """Refuse a folder whose runs are of other data before any work."""
    from aaeframe.reproduce.cell_status import State
    from aaeframe.reproduce.work import other_rows, status

    for found in (status(cell, registry) for cell in todo):
        if found.state is State.OTHER_DATA:
            raise ConfigError(found.reason)
    for reason in other_rows(todo):
        raise ConfigError(reason)


def _fill(todo: Sequence[Cell], out: Path, registry: Registry, minutes: float | None) -> int:
    """Fill cells until all are done, the time is up or the user wants to stop; return the exit code.

    A cell that fails, or must not be worked on, is reported, and the others continue.
    """
    from aaeframe.cli.console import err
    from aaeframe.cli.interrupts import stoppable
    from aaeframe.reproduce.table import refresh
    from aaeframe.reproduce.work import Deadline, SetAside
    from aaeframe.storage.text import plain

    console, failed = err(), False
    with stoppable(console) as stop:
        stop_asked = Deadline(stop, None if minutes is None else time.monotonic() + 60 * minutes)
        for cell in todo:
            try:
                worked = _work_on(cell, registry, console, stop_asked)
            except AaeframeError as error:
                failed, worked = True, not isinstance(error, SetAside)
                console.print(plain(f"error: {cell.name}: {error}"), markup=False)
            if worked:
                refresh(out, registry)
            if stop() or (worked and stop_asked.late):
                break
    _print_what_is_left(todo, registry, console)
    return stop.exit_code if stop.asked else int(failed)


def _print_what_is_left(todo: Sequence[Cell], registry: Registry, console: Console) -> None:
    from aaeframe.reproduce.work import is_left

    left = [cell.name for cell in todo if is_left(cell, registry)]
    if left:
        again = shlex.join(["aaeframe", *sys.argv[1:]])
        console.print(f"{len(left)} of {len(todo)} runs are left, {left[0]} first; go on with: {again}", markup=False)


def _work_on(cell: Cell, registry: Registry, console: Console, stop_asked: Deadline) -> bool:
    """Do what is left of one cell, unless another process does; return whether something was done."""
    from aaeframe.cli.console import note
    from aaeframe.cli.interrupts import shown
    from aaeframe.cli.progress import samples_shown
    from aaeframe.reproduce.experiments import ByGenerator
    from aaeframe.reproduce.work import ProgressHooks, fill, is_done, recount
    from aaeframe.storage.locks import try_lock

    if is_done(cell, registry):
        recount(cell)
        return False
    with try_lock(cell.folder) as mine:
        if not mine:
            console.print(f"{cell.name}: another process is at it", markup=False)
            return False
        if not is_done(cell, registry):
            console.print(cell.name, markup=False)
            hooks = ProgressHooks(
                lambda: shown(console, stop_asked), samples_shown, lambda: _generator_shown(console), note
            )
            fill(cell, registry, hooks, stop_asked)
            if isinstance(cell.filled_by, ByGenerator) and not is_done(cell, registry):
                more = "; it needs a larger --budget" if stop_asked.late else ""
                console.print(f"{cell.name}: not done, and begins anew: no part of it is kept{more}", markup=False)
    return True


@contextmanager
def _generator_shown(console: Console) -> Iterator[Progress]:
    """Show the progress of a generator in one line of a terminal or, elsewhere, at the end of each pass."""
    with console.status("") as status:

        def show(doing: str, done: int, of: int) -> None:
            status.update(f"{doing}: {done} of {of}")
            if done == of and not console.is_terminal:
                console.print(f"{doing}: {done} of {of}", markup=False)

        yield show


def _report(out: Path, registry: Registry, json: bool, picture: Output | None) -> list[Result]:
    """Print and write the table of all records in the folder; return its results."""
    from aaeframe.cli.console import beside, print_json, say, table
    from aaeframe.reproduce.table import as_json, notes, refresh, sections

    found = refresh(out, registry)
    if json:
        print_json(as_json(found))
        return found
    console = beside(picture)
    for section in sections(found):
        console.print(table(section.title, section.columns, section.rows, numbers=False))
    for note in notes(found):
        say(note, console)
    say(f"written: {out / 'results.json'}, {out / 'results.md'}", console)
    return found


def _draw(found: Sequence[Result], chosen: Sequence[tuple[Experiment, str]], picture: Output) -> None:
    from aaeframe.cli.console import note
    from aaeframe.reproduce.table import draw_curves

    asked = {(experiment.name, column) for experiment, column in chosen}
    drawn = draw_curves([it for it in found if (it.experiment.name, it.column) in asked], picture)
    note(
        f"learning curves are in {picture}" if drawn else f"no run here has errors by epoch, so {picture} is not drawn"
    )


def _list(
    names: Sequence[str], columns: Sequence[str], out: Path, data: DataOverride | None, registry: Registry, json: bool
) -> None:
    """Print all rows and columns, and how many of their cells are done."""
    from aaeframe.cli.console import out as console
    from aaeframe.cli.console import print_json, table
    from aaeframe.reproduce.experiments import COLUMNS, EXPERIMENTS

    found = [
        _listed(experiment, column, out, data, registry)
        for experiment in EXPERIMENTS.values()
        if experiment.name in names or not names
        for column in COLUMNS
        if column in experiment.columns and (column in columns or not columns)
    ]
    if json:
        print_json({"cells": found})
        return
    titles = ("row", "column", "filled by", "done", "when")
    lines = [
        (
            it["row"],
            it["column"],
            it["preset"] or f"generator {it['generator']}",
            ", ".join([f"{it['done']} of {it['of']}", *(f"{n} {state}" for state, n in it["not_done"].items())]),
            "by default" if it["default"] else "if named",
        )
        for it in found
    ]
    console().print(table("Rows and columns", titles, lines, numbers=False))


def _listed(
    experiment: Experiment, column: str, out: Path, data: DataOverride | None, registry: Registry
) -> dict[str, Any]:
    from aaeframe.reproduce.cell_status import State
    from aaeframe.reproduce.cells import cells
    from aaeframe.reproduce.work import status

    every = Counter(status(it, registry).state for it in cells([(experiment, column)], out, seeds=None, data=data))
    return {
        "row": experiment.name,
        "column": column,
        **experiment.columns[column].as_dict(),
        "done": every[State.DONE],
        "not_done": {it.value: every[it] for it in State if every[it] and it not in (State.DONE, State.MISSING)},
        "of": every.total(),
        "default": column in experiment.default and not experiment.opt_in,
    }
