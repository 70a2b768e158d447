"""`aaeframe config`."""

from __future__ import annotations

import typer

from aaeframe.cli import options
from aaeframe.cli.commands import App, RunCommand

config_app = App()


@config_app.callback()
def root() -> None:
    """Configurations."""


@config_app.command(cls=RunCommand)
@options.with_run_options
def show(context: typer.Context, given: options.RunOptions, json: options.Json = False) -> None:
    """Print the complete configuration that `aaeframe train` would use with these options."""
    from aaeframe.cli.console import print_json
    from aaeframe.configuration.annotated import annotated_toml
    from aaeframe.configuration.resolve import resolve

    registry = options.registry(context)
    resolved = resolve(given.compose(registry), registry).config
    if json:
        print_json(resolved.model_dump(mode="json"))
    else:
        typer.echo(annotated_toml(resolved), nl=False)
