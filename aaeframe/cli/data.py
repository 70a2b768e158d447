"""`aaeframe data`: what a source of data is read as, before anything is trained."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aaeframe.cli import options
from aaeframe.errors import ConfigError

if TYPE_CHECKING:
    from aaeframe.data import Dataset

MOST_COLUMNS = 60
"""The number of columns of a table that are shown; --json has all."""


def data(
    source: Annotated[str, typer.Argument(metavar="NAME|PATH", help="Data set, file or folder.", show_default=False)],
    label_key: Annotated[str | None, typer.Option(metavar="NAME", help="Column or array of the labels.")] = None,
    ids: options.Ids = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Option for reading, as in data.header=true; may be repeated."),
    ] = None,
    picture: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Picture of the first training rows to draw, .png.")
    ] = None,
    json: options.Json = False,
) -> None:
    """Print what data is read as: rows, type, scale, classes, columns, and what is left out."""
    from aaeframe.cli.console import print_json, say
    from aaeframe.configuration.compose import compose, without_none
    from aaeframe.data.summary import columns, lines, summary
    from aaeframe.runs.run import load_data

    if picture is not None and picture.suffix.lower() != ".png":
        raise ConfigError(f"--picture {picture} is drawn as .png; give a file that ends so")
    given = {"data": {"source": source, "label_key": label_key, "ids": ids}}
    dataset = load_data(compose(None, None, without_none(given), settings or ()))
    found = summary(dataset)
    is_table = len(dataset.spec.shape) == 1
    if is_table:
        found["table"] = columns(dataset.train, dataset.columns)
    if picture is not None:
        _draw(dataset, picture)
        found["picture"] = str(picture)
    if json:
        print_json(found)
        return
    for line in lines(found):
        say(line)
    if is_table:
        _print_columns(found["table"])
    if picture is not None:
        say(f"picture   {picture}")


def _print_columns(found: list[dict[str, Any]]) -> None:
    from aaeframe.cli.console import out, table

    rows = [
        [it["column"], *(f"{it[key]:.6g}" for key in ("least", "mean", "greatest")), f"{it['different']:,}"]
        for it in found[:MOST_COLUMNS]
    ]
    more = f", the first {MOST_COLUMNS} of {len(found)}" if len(found) > MOST_COLUMNS else ""
    names = ["column", "least", "mean", "greatest", "different values"]
    out().print(table(f"Columns over the training rows{more}", names, rows))


def _draw(dataset: Dataset, path: Path) -> None:
    """Draw the first training rows of every class, in turn: images in a grid, other rows as lines."""
    from aaeframe.figures.canvas import save
    from aaeframe.figures.contact_sheet import contact_sheet
    from aaeframe.storage.atomic import writing

    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    save(contact_sheet(dataset), path)
