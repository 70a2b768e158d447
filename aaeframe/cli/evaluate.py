"""`aaeframe evaluate` and `aaeframe figures`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from aaeframe.cli import options


class Held(StrEnum):
    """The splits that training did not see."""

    test = "test"
    validation = "validation"


Split = Annotated[Held, typer.Option(help="Which held-out rows.")]


def evaluate(
    context: typer.Context,
    run: options.RunArgument,
    split: Split = Held.test,
    device: options.Device = "auto",
    raw_weights: options.RawWeights = False,
    json: options.Json = False,
) -> None:
    """Measure, on held-out data, how well codes match the prior and how well images are reconstructed."""
    from aaeframe.cli.console import out, print_json, report_tables

    opened = options.load_run(context, run, device, raw_weights)
    report = opened.evaluate(split=split)
    if json:
        print_json(report)
    else:
        console = out()
        for table in report_tables(report):
            console.print(table)
    opened.folder.write_evaluation(split, report)


def figures(
    context: typer.Context,
    run: options.RunArgument,
    split: Split = Held.test,
    device: options.Device = "auto",
    raw_weights: options.RawWeights = False,
    json: options.Json = False,
) -> None:
    """Draw codes, reconstructions, samples, the decoded plane and the loss curves."""
    from aaeframe.cli.console import print_json, say

    opened = options.load_run(context, run, device, raw_weights)
    paths = opened.draw_figures(opened.dataset(), split=split)
    if json:
        print_json({"figures": [str(path) for path in paths]})
        return
    for path in paths:
        say(str(path))
