"""`aaeframe presets list | show`: the named configurations."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Annotated, Final

import typer

from aaeframe.cli import options
from aaeframe.cli.commands import App

if TYPE_CHECKING:
    from aaeframe.components.registry import Registry
    from aaeframe.configuration.presets import About

app = App()

WIDTH: Final = 100
"""The width of the description of a preset."""


@app.command("list")
def list_presets(context: typer.Context, json: options.Json = False) -> None:
    """List the presets with their titles, training times and distributions."""
    from aaeframe.cli.console import out, print_json, table
    from aaeframe.configuration.presets import presets

    registry = options.registry(context)
    found = [_row(name, it.distribution, registry) for name, it in presets(registry).items()]
    if json:
        print_json({"presets": found})
        return
    columns = ("name", "title", "takes", "distribution")
    made = table("Presets", columns, [[it[column] for column in columns] for it in found], numbers=False)
    made.columns[0].no_wrap = True  # a name is copied
    out().print(made)


def _row(name: str, distribution: str, registry: Registry) -> dict[str, str]:
    """A row of the list; the title of a preset that cannot be read is what is wrong with it."""
    from aaeframe.configuration.presets import read_about
    from aaeframe.errors import AaeframeError

    try:
        about = read_about(name, registry)
    except AaeframeError as error:
        return {"name": name, "title": f"broken: {error}", "takes": "", "distribution": distribution}
    return {"name": name, "title": about.title, "takes": about.takes, "distribution": distribution}


@app.command()
def show(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Preset of `aaeframe presets list`.")],
    json: options.Json = False,
) -> None:
    """Show a preset: the experiment it reproduces, its deviations, its configuration."""
    from dataclasses import asdict

    from aaeframe.cli.console import print_json
    from aaeframe.configuration.presets import preset_text, read_about, read_preset

    registry = options.registry(context)
    about = read_about(name, registry)
    if json:
        print_json({"name": name, "about": asdict(about), "configuration": read_preset(name, registry)})
        return
    typer.echo(_in_words(name, about))
    typer.echo(_configuration(preset_text(name, registry)), nl=False)


def _in_words(name: str, about: About) -> str:
    """The description of a preset as text."""
    facts = {"reproduces": about.reproduces, "takes": about.takes, "tuned": about.tuned or ""}
    facts |= {"seeds": ", ".join(map(str, about.seeds)), "train it": f"aaeframe train --preset {name}"}
    told = [_wrapped(f"{fact:<12}", text) for fact, text in facts.items() if text]
    lines = [f"{name}: {about.title}", "", *told, ""]
    if about.deviates:
        lines += ["Where it deviates from the paper:", *(_wrapped("- ", it) for it in about.deviates), ""]
    return "\n".join(lines)


def _wrapped(lead: str, text: str) -> str:
    """A wrapped text after its lead, with all lines aligned."""
    return textwrap.fill(
        text,
        WIDTH,
        initial_indent=lead,
        subsequent_indent=" " * len(lead),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _configuration(text: str) -> str:
    """The TOML of a preset without its first table, which describes it."""
    about, _, rest = text.partition("\n\n")
    return rest if about.startswith("[about]") else text
