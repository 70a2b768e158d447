"""The command line. Everything heavy is imported inside commands, so that --help answers at once."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from aaeframe.cli import plugins
from aaeframe.cli.configuration import config_app
from aaeframe.cli.doctor import doctor
from aaeframe.cli.evaluate import evaluate, figures
from aaeframe.cli.train import train
from aaeframe.cli.use import encode, reconstruct, sample
from aaeframe.errors import AaeframeError

app = typer.Typer(
    help="Adversarial autoencoders with any prior that can be sampled.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(plugins.app, name="plugins", help="Installed plugins: list, inspect, check.")
app.add_typer(config_app, name="config", help="Configurations.")
for command in (train, sample, encode, reconstruct, evaluate, figures, doctor):
    app.command()(command)


def _version(asked: bool) -> None:
    if asked:
        from aaeframe import __version__

        typer.echo(f"aaeframe {__version__}")
        raise typer.Exit


@app.callback()
def root(
    context: typer.Context,
    no_plugin: Annotated[
        list[str] | None,
        typer.Option("--no-plugin", metavar="NAME", help="Do not load a plugin (distribution, entry point or module)."),
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Adversarial autoencoders with any prior that can be sampled."""
    context.obj = {"no_plugins": tuple(no_plugin or ())}


def main() -> None:
    """Run the command line: exit code 0, or 2 for what the user can mend, or 1; never a traceback for our errors."""
    try:
        app(prog_name="aaeframe")
    except AaeframeError as error:
        _fail(str(error), error.exit_code)
    except OSError as error:
        _fail(f"{error.filename or 'the system'}: {error.strerror or error}", 2)


def _fail(message: str, code: int) -> None:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(code)
