"""`aaeframe presets list | show`: the named configurations."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Annotated, Final

import typer

from aaeframe.cli import options
from aaeframe.cli.commands import App

if TYPE_CHECKING:
    from aaeframe.configuration.presets import About

app = App()

WIDTH: Final = 100
"""The width of the description of a preset."""


@app.command("list")
def list_presets(json: options.Json = False) -> None:
    """List the presets with their titles and training times."""
    from aaeframe.cli.console import out, print_json, table
    from aaeframe.configuration.presets import preset_names, read_about

    found = {name: read_about(name) for name in preset_names()}
    if json:
        print_json({"presets": [{"name": name, "title": it.title, "takes": it.takes} for name, it in found.items()]})
        return
    rows = [(name, it.title, it.takes) for name, it in found.items()]
    made = table("Presets", ("name", "title", "takes"), rows, numbers=False)
    made.columns[0].no_wrap = True  # a name is copied
    out().print(made)


@app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Preset of `aaeframe presets list`.")],
    json: options.Json = False,
) -> None:
    """Show a preset: the experiment it reproduces, its deviations, its configuration."""
    from dataclasses import asdict

    from aaeframe.cli.console import print_json
    from aaeframe.configuration.presets import preset_text, read_about, read_preset

    about = read_about(name)
    if json:
        print_json({"name": name, "about": asdict(about), "configuration": read_preset(name)})
        return
    typer.echo(_in_words(name, about))
    typer.echo(_configuration(preset_text(name)), nl=False)


def _in_words(name: str, about: About) -> str:
    """The description of a preset as text."""
    facts = {"reproduces": about.reproduces, "takes": about.takes}
    if about.tuned is not None:
        facts["tuned"] = about.tuned
    facts |= {"seeds": ", ".join(map(str, about.seeds)), "train it": f"aaeframe train --preset {name}"}
    lines = [f"{name}: {about.title}", "", *(_wrapped(f"{fact:<12}", text) for fact, text in facts.items()), ""]
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
