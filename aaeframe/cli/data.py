"""`aaeframe data`: what a source of data is read as, before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aaeframe.cli import options
from aaeframe.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import Console

    from aaeframe.data import Dataset
    from aaeframe.storage.output import Output

MOST_COLUMNS = 60
"""The number of columns of a table that are shown; --json has all."""


def data(
    context: typer.Context,
    source: Annotated[
        str,
        typer.Argument(
            metavar="NAME|PATH",
            help='Data set, with options as in "pinwheel(noise=0.1)"; file or folder.',
            show_default=False,
        ),
    ],
    label_key: Annotated[str | None, typer.Option(metavar="NAME", help="Column or array of the labels.")] = None,
    ids: options.Ids = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Option for reading, as in data.header=true; may be repeated."),
    ] = None,
    picture: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Picture of the first training rows to draw, .png; - is standard output."),
    ] = None,
    json: options.Json = False,
) -> None:
    """Print what data is read as: rows, type, scale, classes, columns, and what is left out."""
    from aaeframe.cli.console import beside, print_json, say
    from aaeframe.configuration.compose import compose, without_none
    from aaeframe.data.summary import columns, lines, summary
    from aaeframe.runs.reading import load_data

    output = None if picture is None else options.output(picture, [".png"], json=json, option="--picture")
    options.check_not_read(output, source, option="--picture")
    _check(settings or ())
    given = {"data": {"source": source, "label_key": label_key, "ids": ids}}
    dataset = load_data(compose(None, None, without_none(given), settings or ()), options.registry(context))
    found = summary(dataset)
    is_table = len(dataset.spec.shape) == 1
    if is_table:
        found["table"] = columns(dataset.train, dataset.columns)
    if output is not None:
        _draw(dataset, output)
        found["picture"] = str(output)
    if json:
        print_json(found)
        return
    console = beside(output)
    for line in lines(found):
        say(line, console)
    if is_table:
        _print_columns(found["table"], console)
    if output is not None:
        say(f"picture   {output}", console)


def _check(settings: Sequence[str]) -> None:
    """ConfigError for a setting that does not say how the data are read: it would do nothing, or read other data."""
    for key in (it.partition("=")[0].strip() for it in settings):
        if not key.startswith("data.") or key == "data.source":
            raise ConfigError(
                f"--set {key}: `aaeframe data` takes settings that say how its one source is read, as data.header; "
                "those of a training go to `aaeframe train`"
            )


def _print_columns(found: list[dict[str, Any]], console: Console) -> None:
    from aaeframe.cli.console import table

    rows = [
        [it["column"], *(f"{it[key]:.6g}" for key in ("least", "mean", "greatest")), _count(it["different"])]
        for it in found[:MOST_COLUMNS]
    ]
    more = f", the first {MOST_COLUMNS} of {len(found)}" if len(found) > MOST_COLUMNS else ""
    names = ["column", "least", "mean", "greatest", "different values"]
    console.print(table(f"Columns over the training rows{more}", names, rows))


def _count(number: int | None) -> str:
    return "not counted" if number is None else f"{number:,}"


def _draw(dataset: Dataset, output: Output) -> None:
    """Draw the first training rows of every class, in turn: images in a grid, other rows as lines."""
    from aaeframe.figures.canvas import save
    from aaeframe.figures.contact_sheet import contact_sheet

    save(contact_sheet(dataset), output)
