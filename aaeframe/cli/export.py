"""`aaeframe export`: write a trained model for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, cast

import typer

from aaeframe.cli import options
from aaeframe.errors import ConfigError

if TYPE_CHECKING:
    from aaeframe.anomaly.scores import Kind

FORMATS: Final = ("onnx", "archive")


def export(
    context: typer.Context,
    run: options.RunArgument,
    out: Annotated[
        Path,
        typer.Option(
            parser=options.folder,
            metavar="PATH",
            help="New folder for ONNX files; for an archive, a file .zip, or - for standard output.",
            show_default=False,
        ),
    ],
    form: Annotated[
        str, typer.Option("--format", metavar="NAME", help="onnx, or archive: the run in one file for `load`.")
    ] = "onnx",
    part: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Part: encoder, decoder or score. May be repeated. Default: the first two."),
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Kind of score for --part score: density, reconstruction, prior or discriminator. Default: density.",
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|PATH", help="Rows for the check of the files; default: validation rows of the run's data."
        ),
    ] = None,
    label_key: Annotated[
        str | None, typer.Option(metavar="NAME", help="Column or array of --data that holds the labels.")
    ] = None,
    device: options.Device = "auto",
    raw_weights: options.RawWeights = False,
    best: options.Best = False,
    json: options.Json = False,
) -> None:
    """Write a trained model for other programs (onnx), or for other people (archive).

    ONNX files have the scaling inside: x is in the units of the data. Each is run in onnxruntime on 64 rows, and is
    written only if it gives what the model gives. An archive holds weights, configuration, numbers and a model card.
    """
    from aaeframe.cli.console import beside, note, print_json, say
    from aaeframe.export.onnx import require_packages
    from aaeframe.storage.archive import SUFFIX

    if form not in FORMATS:
        why = " (torch's .pt2 holds a pickle, which runs code when it is opened)" if form.endswith("pt2") else ""
        raise ConfigError(f"--format {form} is not a format of this command{why}; give {' or '.join(FORMATS)}")
    if form == "archive" and (part or kind or data or raw_weights):
        raise ConfigError(
            "--part, --kind, --data and --raw-weights are for --format onnx; an archive holds the whole model, with "
            "all of its weights. Leave them out"
        )
    if data is None and label_key is not None:
        raise ConfigError("--label-key names the labels of --data, which is not given; leave it out")
    if kind and "score" not in (part or ()):
        raise ConfigError(f"--kind {kind} is a kind of score, which is not exported; add --part score")
    if form == "onnx":
        require_packages()
    output = None if form == "onnx" else options.output(out, [SUFFIX], json=json)
    opened = options.load_run(context, run, device, raw_weights, best)
    if form == "onnx":
        chosen = cast("Kind", kind or "density")  # any other text is refused with the names of the kinds
        paths = opened.export(out, part=part or (), kind=chosen, data=data, label_key=label_key, warn=note)
    else:
        paths = [opened.to_archive(out)]
    if json:
        print_json({"files": [str(path) for path in paths]})
        return
    for path in paths:
        say(str(output or path), beside(output))
