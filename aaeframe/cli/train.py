"""`aaeframe train`."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aaeframe.cli import options
from aaeframe.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import Console

    from aaeframe.cli.progress import Bar, Lines
    from aaeframe.config import Config
    from aaeframe.run import Run
    from aaeframe.runs import RunFolder

INTERRUPTED = 130
"""The exit code of a run that was asked to stop, as shells have it for SIGINT."""


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
    with _stoppable(console) as stop, _shown(console, stop) as hooks:
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


class Stop:
    """Whether the user asked to stop."""

    asked = False

    def __call__(self) -> bool:
        """Whether to stop after this step."""
        return self.asked


@contextmanager
def _stoppable(console: Console) -> Iterator[Stop]:
    """Inside, the first SIGINT or SIGTERM asks to stop after the step at hand; a second SIGINT stops at once."""
    stop = Stop()
    # Printed beside: the signal may have come in the middle of a line, which nothing else may print into.
    line = "stopping after this step; Ctrl-C again to stop at once"
    told = Thread(target=console.print, args=(line,))

    def ask(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if not stop.asked:
            stop.asked = True
            told.start()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if stop.asked:
            told.join()


@contextmanager
def _shown(console: Console, stop: Stop) -> Iterator[Any]:
    """Hooks that show the training on standard error."""
    from aaeframe.cli.progress import Bar, Lines
    from aaeframe.run import Hooks

    shown: list[Bar | Lines] = []

    class Shown:
        def stepped(self, epoch: int, step: int) -> None:
            shown[0].stepped(epoch, step)

        def epoch_ended(self, row: dict[str, Any], warnings: list[str]) -> None:
            shown[0].epoch_ended(row, warnings)

    def started(config: Config, folder: RunFolder, steps: int) -> None:
        console.print(f"run {folder.path}: {_described(config)}", markup=False)
        shown.append((Bar if console.is_terminal else Lines)(console, config.training.epochs, steps))

    def noticed(sentence: str) -> None:
        console.print(f"note: {sentence}", markup=False)

    try:
        yield Hooks(Shown(), stop, started, noticed)
    finally:
        for it in shown:
            it.close()


def _described(config: Config) -> str:
    priors = " + ".join(part.component for part in config.prior.values())
    labels = f", {config.data.labels} labels" if config.data.labels else ""
    return (
        f"{config.data.source}{labels}; prior {priors}; encoder {config.encoder.component}; network "
        f"{config.network.component}; {config.training.epochs} epochs, schedule {config.training.schedule}, "
        f"seed {config.training.seed}"
    )


def _console() -> Console:
    from aaeframe.cli.console import err

    return err()
