"""`aaeframe bench`."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from aaeframe.benchmarking import SUITES
from aaeframe.cli import options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

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
        str | None,
        typer.Option(
            metavar="FILE",
            help="File to write, .json; - is standard output. Default: bench-<time>.json, none with --json.",
        ),
    ] = None,
    json: options.Json = False,
) -> None:
    """Time the kernels and the training step on this machine, next to the alternatives that are installed."""
    from aaeframe.benchmarking.report import now
    from aaeframe.cli.console import beside, print_json, say
    from aaeframe.storage.output import write_json

    if out is None and not json:
        out = f"bench-{now().replace(':', '')}.json"
    output = None if out is None else options.output(out, [".json"], json=json)
    report = _measured([str(it) for it in dict.fromkeys(case or ())] or list(SUITES), quick, device)
    if json:
        print_json(report.to_json())
    else:
        _show(report, beside(output))
    if output is not None:
        write_json(output, report.to_json())
    if not json:
        say(f"written: {output}", beside(output))
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


def _show(report: Report, console: Console) -> None:
    from aaeframe.cli.console import say
    from aaeframe.cli.measurements import notes, tables

    for table in tables(report):
        console.print(table)
    for line in notes(report):
        say(line, console)
