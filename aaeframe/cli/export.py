"""`aaeframe export`: write a trained model for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aaeframe.cli import options
from aaeframe.errors import ConfigError


def export(
    context: typer.Context,
    run: options.RunArgument,
    out: Annotated[
        Path,
        typer.Option(parser=options.folder, metavar="FOLDER", help="New folder for the files.", show_default=False),
    ],
    form: Annotated[str, typer.Option("--format", metavar="NAME", help="Format: onnx.")] = "onnx",
    part: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Part to write: encoder or decoder. May be repeated. Default: all."),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|PATH", help="Rows for the check of the files; default: validation rows of the run's data."
        ),
    ] = None,
    device: options.Device = "auto",
    raw_weights: options.RawWeights = False,
    best: options.Best = False,
    json: options.Json = False,
) -> None:
    """Write encoder and decoder as ONNX files, with a manifest. Scaling is inside; x is in the units of the data.

    Each file is run in onnxruntime on 64 rows, and is written only if it gives what the model gives.
    """
    from aaeframe.cli.console import print_json, say
    from aaeframe.export.onnx import require_packages

    _check_format(form)
    require_packages()
    opened = options.load_run(context, run, device, raw_weights, best)
    paths = opened.export(out, part=part or (), data=data)
    if json:
        print_json({"files": [str(path) for path in paths]})
        return
    for path in paths:
        say(str(path))


def _check_format(form: str) -> None:
    if form == "onnx":
        return
    why = " (torch's .pt2 holds a pickle, which runs code when it is opened)" if form.endswith("pt2") else ""
    raise ConfigError(f"--format {form} is not a format of this command{why}; give onnx")
