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
    prior: options.Prior = None,
    encoder: options.Component = None,
    network: options.Component = None,
    discriminator: options.Component = None,
    data: options.Data = None,
    labels: options.Labels = None,
    recipe: options.Recipe = None,
    schedule: options.Schedule = None,
    loss: options.Loss = None,
    gradient_penalty: options.GradientPenalty = None,
    epochs: options.Epochs = None,
    batch_size: options.BatchSize = None,
    seed: options.Seed = None,
    device: options.TrainingDevice = None,
    precision: options.Precision = None,
    ema: options.Ema = None,
    preset: options.Preset = None,
    config: options.ConfigFile = None,
    settings: options.Settings = None,
    json: options.Json = False,
) -> None:
    """Print the configuration that `aaeframe train` would use, whole: every option with its value."""
    from aaeframe.cli.console import print_json
    from aaeframe.configuration.resolve import resolve

    composed = options.composed(options.flags(context.params), preset, config, settings)
    whole = resolve(composed, options.registry(context))
    if json:
        print_json(whole.model_dump(mode="json"))
    else:
        typer.echo(whole.to_toml(), nl=False)
