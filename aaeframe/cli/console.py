"""Printing: results on standard output, progress and notes on standard error."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from aaeframe.processes import launcher
from aaeframe.storage.text import plain

if TYPE_CHECKING:
    from aaeframe.storage.output import Output

NARROWEST = 100
"""The least width of tables where standard output is not a terminal."""


_LITERAL: Final[Any] = {"highlight": False, "markup": False, "emoji": False}
"""Texts are printed as they are: a path may hold "[red]" or ":smile:"."""


def out() -> Console:
    """Standard output."""
    console = Console(**_LITERAL)
    return console if console.is_terminal else Console(**_LITERAL, width=max(console.width, NARROWEST))


def err() -> Console:
    """Standard error; of several processes that a launcher started the first prints."""
    first = launcher.is_first_of_launch()
    return Console(**_LITERAL, stderr=True, soft_wrap=True, quiet=not first, force_terminal=None if first else False)


def beside(output: Output | None) -> Console:
    """Standard output, or standard error where standard output is the file of a result."""
    return err() if output is not None and output.is_standard else out()


def from_here(path: Path, given: Path | None) -> Path:
    """A path from the working folder, if it lies below that and `given`, by which it was found, is relative."""
    here, absolute = Path.cwd(), given is not None and given.is_absolute()
    return path if absolute or not path.is_relative_to(here) else path.relative_to(here)


def say(line: str, console: Console | None = None) -> None:
    """Print a line on standard output or another console. It is never wrapped, as it may contain a path."""
    (console or out()).print(plain(line), markup=False, soft_wrap=True)


def note(sentence: str) -> None:
    """Print a note on standard error."""
    err().print(plain(f"note: {sentence}"), markup=False)


def print_json(value: Any) -> None:
    """Print JSON on standard output."""
    print(json.dumps(value, indent=1, allow_nan=False))  # noqa: T201  the one place that prints results for machines


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: bool = True) -> Table:
    """A table of plain texts. The first column is left-aligned, the others right-aligned if they hold `numbers`."""
    made = Table(title=title, title_justify="left", title_style="bold")
    for position, column in enumerate(columns):
        made.add_column(column, justify="right" if numbers and position else "left", overflow="fold")
    for row in rows:
        made.add_row(*(Text(plain(it)) for it in row))
    return made


def facts(title: str, rows: Mapping[str, str]) -> Table:
    """A two-column table of names and values."""
    made = Table("", "", title=title, title_justify="left", title_style="bold", show_header=False)
    for name, fact in rows.items():
        made.add_row(name, Text(plain(fact), overflow="fold"))
    return made
