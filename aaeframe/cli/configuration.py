"""`aaeframe config`."""

from __future__ import annotations

import typer

from aaeframe.cli import options

config_app = typer.Typer(no_args_is_help=True)


@config_app.callback()
def root() -> None:
    """Configurations."""


@config_app.command()
def show(
    context: typer.Context,
    preset: options.Preset = None,
    config: options.ConfigFile = None,
    settings: options.Settings = None,
    data: options.Data = None,
    labels: options.Labels = None,
    prior: options.Prior = None,
    encoder: options.Component = None,
    network: options.Component = None,
    discriminator: options.Component = None,
    json: options.Json = False,
) -> None:
    """Print the configuration that `aaeframe train` would use, whole: every option with its value."""
    from aaeframe.build import resolve
    from aaeframe.cli.console import print_json

    flags = {
        "data": {"source": data, "labels": labels},
        "prior": prior,
        "encoder": encoder,
        "network": network,
        "discriminator": discriminator,
    }
    whole = resolve(options.composed(flags, preset, config, settings), options.registry(context))
    if json:
        print_json(whole.model_dump(mode="json"))
    else:
        typer.echo(whole.to_toml(), nl=False)
