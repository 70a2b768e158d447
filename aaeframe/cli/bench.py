"""`aaeframe bench`."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aaeframe.benchmarking import SUITES
from aaeframe.cli import options
from aaeframe.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aaeframe.benchmarking.report import Report

Measured = StrEnum("Measured", list(SUITES))  # type: ignore[misc]  # the names are those of the catalogue


def bench(
    case: Annotated[
        list[Measured] | None,
        typer.Option("--case", metavar="CASE", help=f"One of {', '.join(SUITES)}; may be repeated; default: all."),
    ] = None,
    quick: Annotated[
        bool,
        typer.Option(
            "--quick", help="Use tiny sizes, which takes seconds: checks that it runs, does not measure speed."
        ),
    ] = False,
    device: options.Device = "auto",
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="JSON file to write; default: bench-<time>.json, none with --json."),
    ] = None,
    json: options.Json = False,
) -> None:
    """Time the kernels and the training step on this machine, next to the alternatives that are installed."""
    from aaeframe.benchmarking.report import write_json
    from aaeframe.cli.console import print_json, say

    _check_writable(out, here=not json)
    report = _measured([str(it) for it in dict.fromkeys(case or ())] or list(SUITES), quick, device)
    if json:
        print_json(report.to_json())
    else:
        _show(report)
    if out is None and not json:
        out = Path(f"bench-{report.date.replace(':', '')}.json")
    if out is not None:
        write_json(out, report.to_json())
    if not json:
        say(f"written: {out}")
    if any(it.failed for it in report.cases):
        raise typer.Exit(1)


def _measured(suites: Sequence[str], quick: bool, device: str) -> Report:
    from aaeframe.benchmarking.case import BenchSettings
    from aaeframe.benchmarking.measure import measure
    from aaeframe.cli.console import err
    from aaeframe.training.device import pick

    console = err()
    return measure(
        suites,
        BenchSettings(pick(device), quick),
        command=" ".join(["aaeframe", *sys.argv[1:]]),
        announce=lambda line: console.print(f"measuring {line}", markup=False),
    )


def _check_writable(out: Path | None, here: bool) -> None:
    """ConfigError if `out`, or without it the working folder, cannot be written; raised before measuring."""
    if out is None:
        if here and not os.access(".", os.W_OK):
            raise ConfigError(
                "the working folder cannot be written to; give --out FILE elsewhere, or --json for no file"
            )
        return
    folder = out.absolute().parent
    if out.is_dir() or not folder.is_dir():
        found = "is a folder" if out.is_dir() else "is in a folder that does not exist"
        raise ConfigError(f"--out {out} {found}; give a file in a folder that exists")
    if not os.access(folder, os.W_OK):
        raise ConfigError(f"--out {out} is in a folder that cannot be written to; give a file elsewhere")


def _show(report: Report) -> None:
    from aaeframe.cli.console import out, say
    from aaeframe.cli.measurements import notes, tables

    console = out()
    for table in tables(report):
        console.print(table)
    for line in notes(report):
        say(line)
