"""The command line. Commands import heavy modules when they run, so that --help is fast."""

from __future__ import annotations

import io
import sys
from contextlib import suppress
from typing import Annotated

import typer

from aaeframe.cli import bench, parzen, plugins, presets
from aaeframe.cli.commands import App, RunCommand
from aaeframe.cli.compare import compare
from aaeframe.cli.config import config_app
from aaeframe.cli.data import data
from aaeframe.cli.doctor import doctor
from aaeframe.cli.evaluate import evaluate, figures
from aaeframe.cli.export import export
from aaeframe.cli.new_plugin import new
from aaeframe.cli.parzen_shards import merge
from aaeframe.cli.report import report
from aaeframe.cli.reproduce import reproduce
from aaeframe.cli.sample_encode import encode, reconstruct, sample
from aaeframe.cli.score import score
from aaeframe.cli.shards import concat
from aaeframe.cli.train import train
from aaeframe.errors import AaeframeError
from aaeframe.processes import launcher

app = App(
    help="Adversarial autoencoders with any prior that can be sampled.",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(plugins.app, name="plugins", help="List, inspect, check and create plugins.")
app.add_typer(presets.app, name="presets", help="List and show presets, which are named configurations.")
app.add_typer(config_app, name="config", help="Show configurations.")
app.add_typer(bench.app, name="bench")
app.add_typer(parzen.app, name="parzen")
parzen.app.command()(merge)
plugins.app.command()(new)
app.command(cls=RunCommand)(train)
for command in (
    *(data, sample, encode, reconstruct, score, concat, evaluate, compare, figures, report, export),
    *(doctor, reproduce),
):
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
    """Run the command line. Exit code 2 is for errors that the user can fix; our own errors show no traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a character that its encoding lacks must not end a command
            stream.reconfigure(errors="backslashreplace")
    try:
        _run()
    except AaeframeError as error:
        if _is_printed_elsewhere(error):
            sys.exit(error.exit_code)
        _fail(str(error), error.exit_code)
    except OSError as error:
        _fail(f"{error.filename or 'the system'}: {error.strerror or error}", 2)
    except (MemoryError, RuntimeError) as error:
        if _is_of_kernels(error):
            _fail(str(error), 2)
        if not is_of_memory(error):
            raise
        _fail(
            f"out of memory: {str(error).partition(chr(10))[0] or 'nothing is left'}. Use less at once: a smaller "
            "--batch-size, a smaller network, fewer --draws or --count. "
            "Or stream the data with --set data.max_resident_mib=0.1, or use a device with more memory",
            2,
        )


def _run() -> None:
    """Run the command. An error in its options is printed by one process of a machine."""
    if not _is_second():
        app(prog_name="aaeframe")
        return
    try:
        code = app(prog_name="aaeframe", standalone_mode=False)
    except typer.Abort:
        sys.exit(1)
    except Exception as error:
        if not hasattr(error, "format_message"):  # of usage errors, whose class has no public name in all versions
            raise
        sys.exit(2)
    sys.exit(code if isinstance(code, int) else 0)


def _is_printed_elsewhere(error: AaeframeError) -> bool:
    """Whether another process of this launch prints the error. Before they are joined, one of each machine does."""
    return _is_second() if error.printed_elsewhere is None else error.printed_elsewhere


def _is_second() -> bool:
    """Whether a launcher started other processes on this machine before this one."""
    with suppress(AaeframeError):  # a variable of the launcher that is not valid, which a command refuses
        return launcher.launch_size() > 1 and launcher.local_rank() > 0
    return False


def is_of_memory(error: Exception) -> bool:
    """Whether memory ran out. Torch raises a RuntimeError, which is known by its words without importing torch."""
    return isinstance(error, MemoryError) or any(
        words in str(error) for words in ("out of memory", "can't allocate memory")
    )


def _is_of_kernels(error: Exception) -> bool:
    """Whether AAEFRAME_KERNELS asks for a kernel that cannot run here. If so, its module is already imported."""
    dispatch = sys.modules.get("aaeframe_kernels.dispatch")
    return dispatch is not None and isinstance(error, dispatch.KernelUnavailable)


def _fail(message: str, code: int) -> None:
    from aaeframe.storage.text import plain

    print(f"error: {plain(message)}", file=sys.stderr)
    sys.exit(code)
