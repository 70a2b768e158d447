"""`aaeframe reproduce`."""

from __future__ import annotations

import shlex
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
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
    from aaeframe.reproduce.cells import Cell, Given
    from aaeframe.reproduce.filling import Until
    from aaeframe.reproduce.results import Result
    from aaeframe.reproduce.rows import Row


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
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where runs and results are.")] = Path("reproduction"),
    data: Annotated[
        str | None, typer.Option(metavar="NAME|PATH", help="In place of the presets' data, for rows that are named.")
    ] = None,
    held_out: Annotated[
        tuple[int, int] | None,
        typer.Option(metavar="VALIDATION TEST", help="Rows of --data that are held out; a tenth each if not given."),
    ] = None,
    recorded: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="The results.json of another folder, whose runs are not made anew; may be repeated.",
        ),
    ] = None,
    curves: Annotated[
        Path | None,
        typer.Option(
            metavar="PNG", help="Draw the errors on validation rows, epoch by epoch, of the rows and columns asked for."
        ),
    ] = None,
    list_only: Annotated[
        bool, typer.Option("--list", help="Train nothing: list rows, columns, what fills them, and what is done.")
    ] = False,
    json: options.Json = False,
) -> None:
    """Train and judge the paper's experiments, and print its tables with our columns beside.

    What is done is found in the folder and not done again. Several processes may fill one folder. What diverged is
    tried again once its diverged.json is removed; what is of other settings or cannot be read is told of, and not used.
    Runs of other machines, or whose folders are gone, are taken from the tables that told of them.
    """
    from aaeframe.reproduce.cells import cells, selected

    given, chosen = _given(row or (), data, held_out), selected(row or (), column or ())
    todo, registry = cells(chosen, out, seeds=seeds, data=given), options.registry(context)
    if curves is not None:
        _check_picture(curves, out, list_only)
    if not list_only:
        _check_given(given)
        _check_data(todo, registry)
    _take(recorded or (), todo, out, registry)
    if list_only:
        _list(row or (), column or (), out, given, registry, json)
        return
    code = _fill(todo, out, registry, budget)
    found = _report(out, registry, json)
    if curves is not None:
        _draw(found, chosen, curves)
    raise typer.Exit(code)


def _given(names: Sequence[str], data: str | None, held_out: tuple[int, int] | None) -> Given | None:
    """The data in place of the presets'; ConfigError if it is that of no row, or there is none to hold out of."""
    from aaeframe.reproduce.cells import Given

    if data is None:
        if held_out is not None:
            raise ConfigError("--held-out is of the rows of --data, which was not given; the presets' data is split")
        return None
    if not names:
        raise ConfigError("--data is in place of the data of rows that are named; name them: aaeframe reproduce ROW")
    return Given(data, held_out)


def _take(tables: Sequence[Path], todo: Sequence[Cell], out: Path, registry: Registry) -> None:
    from aaeframe.cli.console import note
    from aaeframe.reproduce.taking import take

    for sentence in take(tables, todo, out, registry):
        note(sentence)


def _check_given(given: Given | None) -> None:
    """Refuse before any work data that cannot be had."""
    from aaeframe import data as datasets

    if given is not None:
        datasets.load(given.source, held_out=given.held_out)


def _check_picture(path: Path, out: Path, list_only: bool) -> None:
    """Refuse before any work a picture that cannot be drawn."""
    if list_only:
        raise ConfigError("--curves draws what was trained, and --list trains nothing; leave one of them out")
    if path.suffix.lower() != ".png":
        raise ConfigError(f"--curves {path}: the picture is a PNG; name a file that ends in .png")
    if path.is_dir():
        raise ConfigError(f"--curves {path} is a folder; name a file")
    if not path.parent.is_dir() and path.parent != out:  # that one is made
        raise ConfigError(f"--curves {path}: there is no folder {path.parent}; make it first")


def _check_data(todo: Sequence[Cell], registry: Registry) -> None:
    """Refuse before any work a folder whose runs are of other data."""
    from aaeframe.reproduce.state import State, state

    for standing in (state(cell, registry) for cell in todo):
        if standing.state is State.OTHER_DATA:
            raise ConfigError(standing.told)


def _fill(todo: Sequence[Cell], out: Path, registry: Registry, minutes: float | None) -> int:
    """Fill cells until all is done, the time is up or the user wants to stop; the exit code.

    A cell that fails, or is not to be worked at, is told of, and the others go on.
    """
    from aaeframe.cli.console import err, plain
    from aaeframe.cli.interrupts import stoppable
    from aaeframe.reproduce.filling import SetAside, Until
    from aaeframe.reproduce.stored import refresh

    console, failed = err(), False
    with stoppable(console) as stop:
        stop_asked = Until(stop, None if minutes is None else time.monotonic() + 60 * minutes)
        for cell in todo:
            try:
                worked = _work_at(cell, registry, console, stop_asked)
            except AaeframeError as error:
                failed, worked = True, not isinstance(error, SetAside)
                console.print(plain(f"error: {cell.name}: {error}"), markup=False)
            if worked:
                refresh(out, registry)
            if stop() or (worked and stop_asked.late):
                break
    _tell_what_is_left(todo, registry, console)
    return stop.exit_code if stop.asked else int(failed)


def _tell_what_is_left(todo: Sequence[Cell], registry: Registry, console: Console) -> None:
    from aaeframe.reproduce.state import LEFT, state

    left = [cell.name for cell in todo if state(cell, registry).state in LEFT]
    if left:
        again = shlex.join(["aaeframe", *sys.argv[1:]])
        console.print(f"{len(left)} of {len(todo)} runs are left, {left[0]} first; go on with: {again}", markup=False)


def _work_at(cell: Cell, registry: Registry, console: Console, stop_asked: Until) -> bool:
    """Do what is left of one cell, unless another process does; whether something was done."""
    from aaeframe.cli.console import note
    from aaeframe.cli.interrupts import shown
    from aaeframe.cli.progress import samples_shown
    from aaeframe.reproduce.columns import ByGenerator
    from aaeframe.reproduce.filling import Views, fill, is_filled
    from aaeframe.storage.locks import try_lock

    if is_filled(cell, registry):
        return False
    with try_lock(cell.folder) as mine:
        if not mine:
            console.print(f"{cell.name}: another process is at it", markup=False)
            return False
        if not is_filled(cell, registry):
            console.print(cell.name, markup=False)
            views = Views(lambda: shown(console, stop_asked), samples_shown, lambda: _generator_shown(console), note)
            fill(cell, registry, views, stop_asked)
            if isinstance(cell.how, ByGenerator) and not is_filled(cell, registry):
                more = "; it needs a larger --budget" if stop_asked.late else ""
                console.print(f"{cell.name}: not done, and begins anew: no part of it is kept{more}", markup=False)
    return True


@contextmanager
def _generator_shown(console: Console) -> Iterator[Progress]:
    """Inside, how far a generator is shows in one line of a terminal, or, elsewhere, at the end of each pass."""
    with console.status("") as status:

        def show(doing: str, done: int, of: int) -> None:
            status.update(f"{doing}: {done} of {of}")
            if done == of and not console.is_terminal:
                console.print(f"{doing}: {done} of {of}", markup=False)

        yield show


def _report(out: Path, registry: Registry, json: bool) -> list[Result]:
    """Print the table of all that is in the folder, whoever made it, and write it there; what it is of."""
    from aaeframe.cli.console import out as console
    from aaeframe.cli.console import print_json, say, table
    from aaeframe.reproduce.stored import as_json, refresh
    from aaeframe.reproduce.table import notes, sections

    found = refresh(out, registry)
    if json:
        print_json(as_json(found))
        return found
    for section in sections(found):
        console().print(table(section.title, section.columns, section.rows, numbers=False))
    for note in notes(found):
        say(note)
    say(f"written: {out / 'results.json'}, {out / 'results.md'}")
    return found


def _draw(found: Sequence[Result], chosen: Sequence[tuple[Row, str]], path: Path) -> None:
    from aaeframe.cli.console import note
    from aaeframe.reproduce.drawing import draw_curves

    asked = {(row.name, column) for row, column in chosen}
    drawn = draw_curves([it for it in found if (it.row.name, it.column) in asked], path)
    note(f"learning curves are in {path}" if drawn else f"no run here tells its error by epoch, so {path} is not drawn")


def _list(
    names: Sequence[str], columns: Sequence[str], out: Path, data: Given | None, registry: Registry, json: bool
) -> None:
    """Print what there is to fill, and how much of it is filled."""
    from aaeframe.cli.console import out as console
    from aaeframe.cli.console import print_json, table
    from aaeframe.reproduce import rows
    from aaeframe.reproduce.columns import COLUMNS

    found = [
        _listed(row, column, out, data, registry)
        for row in rows.ROWS.values()
        if row.name in names or not names
        for column in COLUMNS
        if column in row.columns and (column in columns or not columns)
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


def _listed(row: Row, column: str, out: Path, data: Given | None, registry: Registry) -> dict[str, Any]:
    from aaeframe.reproduce.cells import cells
    from aaeframe.reproduce.state import State, state

    every = Counter(state(cell, registry).state for cell in cells([(row, column)], out, seeds=None, data=data))
    how = row.columns[column]
    return {
        "row": row.name,
        "column": column,
        **how.as_dict(),
        "done": every[State.DONE],
        "not_done": {it.value: every[it] for it in State if every[it] and it not in (State.DONE, State.NOTHING)},
        "of": every.total(),
        "default": column in row.default and not row.by_name_only,
    }
