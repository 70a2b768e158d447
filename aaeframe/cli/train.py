"""`aaeframe train`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aaeframe.cli import options
from aaeframe.cli.following import INTERRUPTED, shown, stoppable
from aaeframe.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import Console

    from aaeframe.run import Run


def train(
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
    out: Annotated[
        Path | None,
        typer.Option(help="The run's folder, a new one; runs/<time>-<prior>-<encoder> if not given."),
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(metavar="RUN", help="Go on with this run; nothing else can be given with it.")
    ] = None,
    json: options.Json = False,
) -> None:
    """Train an adversarial autoencoder, or go on with a run."""
    from aaeframe.cli.finish import finish

    if resume is not None:
        _refuse_more(context)
    run = _run(context, preset, config, settings, out, resume)
    if not run.finished:
        _console().print(f"stopped; go on with: aaeframe train --resume {run.folder.path}", markup=False)
        raise typer.Exit(INTERRUPTED)
    finish(run, json=json)


def _run(
    context: typer.Context,
    preset: str | None,
    config: Path | None,
    settings: list[str] | None,
    out: Path | None,
    resumed: Path | None,
) -> Run:
    from aaeframe import run as runs

    registry = options.registry(context)
    console = _console()
    with stoppable(console) as stop, shown(console, stop) as hooks:
        if resumed is not None:
            return runs.resume(resumed, registry, hooks=hooks)
        whole = options.composed(options.flags(context.params), preset, config, settings)
        return runs.start(whole, registry, out=out, hooks=hooks)


def _refuse_more(context: typer.Context) -> None:
    """ConfigError if anything that shapes a run was given beside --resume."""
    flags = {parameter.name: parameter.opts[0] for parameter in context.command.params}
    extra = [flags[name] for name in context.params if name not in ("resume", "json") and _given(context, name)]
    if extra:
        raise ConfigError(
            f"--resume goes on with a run as it was configured and takes nothing else, found {', '.join(extra)}; leave "
            "that out, or train anew"
        )


def _given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _console() -> Console:
    from aaeframe.cli.console import err

    return err()
