"""`aaeframe train`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aaeframe.cli import options
from aaeframe.cli.interrupts import Stop, leaving, shown
from aaeframe.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import Console

    from aaeframe.runs.run import Run
    from aaeframe.storage.run_folder import RunFolder


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
    if resume is not None:
        _refuse_more(context)
    untouched = "stopped before the training began; nothing was written"
    with leaving(_console(), untouched if resume is None else _how_to_go_on(resume)) as stop:
        from aaeframe.cli.summary import finish

        run = _run(context, preset, config, settings, out, resume, stop)
        stop.obey()
        finish(run, json=json)


def _run(
    context: typer.Context,
    preset: str | None,
    config: Path | None,
    settings: list[str] | None,
    out: Path | None,
    resumed: Path | None,
    stop: Stop,
) -> Run:
    """Train; from the first step to the last, who asks to stop has it done gently."""
    from aaeframe.runs import start as runs

    registry = options.registry(context)

    def begun(folder: RunFolder) -> None:
        stop.gently, stop.told = True, _how_to_go_on(folder.path)

    with shown(_console(), stop, begun) as observers:
        if resumed is not None:
            run = runs.resume(resumed, registry, observers=observers)
        else:
            whole = options.composed(options.flags(context.params), preset, config, settings)
            run = runs.start(whole, registry, out=out, observers=observers)
        stop.gently = False
    return run


def _how_to_go_on(run: Path) -> str:
    return f"stopped; go on with: {shlex.join(['aaeframe', 'train', '--resume', str(run)])}"


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
