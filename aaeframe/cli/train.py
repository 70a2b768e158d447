"""`aaeframe train`."""

from __future__ import annotations

import shlex
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aaeframe.cli import options
from aaeframe.cli.interrupts import Stop, leaving, shown
from aaeframe.errors import ConfigError
from aaeframe.processes import launcher

if TYPE_CHECKING:
    from aaeframe.components.registry import Registry
    from aaeframe.runs.run import Run
    from aaeframe.storage.run_folder import RunFolder


@options.with_run_options
def train(
    context: typer.Context,
    given: options.RunOptions,
    out: Annotated[
        Path | None,
        typer.Option(
            parser=options.folder,
            metavar="FOLDER",
            help="New folder for the run; default: runs/<time>-<prior>-<encoder>.",
        ),
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(metavar="RUN", help="Resume this run; no other option but --json goes with it.")
    ] = None,
    json: options.Json = False,
) -> None:
    """Train an adversarial autoencoder, or resume a run."""
    if resume is not None:
        _refuse_more(context)
    from aaeframe import processes
    from aaeframe.cli.console import err

    untouched = "interrupted before training began; nothing was written"
    with leaving(err(), untouched if resume is None else _how_to_resume(resume)) as stop:
        with processes.joined("train a new run" if resume is None else "resume a run"):
            run = _run(processes.together(lambda: options.registry(context)), given, out, resume, stop)
        stop.obey()
        if launcher.is_first_of_launch():
            from aaeframe.cli.summary import finish

            finish(run, out or resume, json=json)


def _run(registry: Registry, given: options.RunOptions, out: Path | None, resumed: Path | None, stop: Stop) -> Run:
    """Train. From the first step to the last, a request to stop is followed at a resumable point."""
    from aaeframe import processes
    from aaeframe.cli.console import err
    from aaeframe.runs import start as runs

    def begun(folder: RunFolder) -> None:
        stop.gently, stop.message = True, _how_to_resume(folder.path)

    def stopped_elsewhere() -> None:
        stop.number = signal.SIGTERM

    with shown(err(), stop, begun, stopped_elsewhere) as callbacks:
        if resumed is not None:
            run = runs.resume(resumed, registry, callbacks=callbacks)
        else:
            config = processes.together(lambda: given.compose(registry))
            run = runs.start(config, registry, out=out, callbacks=callbacks)
        stop.gently = False
    return run


def _how_to_resume(run: Path) -> str:
    return f"stopped; resume with: {launcher.command()} {shlex.join(['train', '--resume', str(run)])}"


def _refuse_more(context: typer.Context) -> None:
    """ConfigError if an option that configures a run was given with --resume."""
    flags = {parameter.name: parameter.opts[0] for parameter in context.command.params}
    extra = [flags[name] for name in context.params if name not in ("resume", "json") and _given(context, name)]
    if extra:
        raise ConfigError(
            f"--resume uses the configuration of the run and takes no other option, found {', '.join(extra)}; leave "
            "them out, or start a new run"
        )


def _given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"
