"""`aaeframe report`."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from aaeframe.cli import options
from aaeframe.errors import ConfigError


class Shown(StrEnum):
    """The splits that a report may show."""

    validation = "validation"
    test = "test"
    train = "train"


def report(
    context: typer.Context,
    runs: Annotated[list[Path], typer.Argument(metavar="RUN ...", help="Folders of runs.", show_default=False)],
    out: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="File to write, .html; - is standard output. Default: report.html in the folder of the run, "
            "comparison.html in that of the first of several.",
        ),
    ] = None,
    split: Annotated[
        Shown,
        typer.Option(metavar="SPLIT", help="Rows to show: validation, test or train. Test rows count as an access."),
    ] = Shown.validation,
    points: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Most rows in the explorer; default: 5000, fewer if they are large."),
    ] = None,
    data_changed: options.DataChanged = False,
    device: options.Device = "auto",
    raw_weights: options.RawWeights = False,
    best: options.Best = False,
    json: options.Json = False,
) -> None:
    """Write one HTML page to look at: verdict, curves, and an explorer that decodes codes live."""
    from aaeframe.cli.console import beside, from_here, note, print_json, say
    from aaeframe.runs.reporting import default_output, write_report

    output = None if out is None else options.output(out, [".html"], json=json)
    if len({path.resolve() for path in runs}) < len(runs):
        raise ConfigError(f"report takes different runs, found {', '.join(map(str, runs))}; name each once")
    if output is None:
        options.check_writable(runs[0])
    opened = [options.load_run(context, path, device, raw_weights, best) for path in runs]
    if output is None:
        default = default_output(opened)
        output = replace(default, path=from_here(default.path, runs[0]))
    named = {str(path) if len(runs) > 1 else run.name: run for path, run in zip(runs, opened, strict=True)}
    write_report(named, output, split=split, points=points, data_changed=data_changed, warn=note)
    if json:
        print_json({"report": str(output), "runs": [str(path) for path in runs]})
    else:
        say(f"report    {output}", beside(output))
