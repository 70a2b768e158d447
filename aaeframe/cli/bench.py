"""`aaeframe bench`, and `aaeframe bench history`."""

from __future__ import annotations

import sys
from contextlib import ExitStack, redirect_stdout
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias

import typer

from aaeframe.benchmarking import SUITES
from aaeframe.benchmarking.sweep import FORMS, sweep
from aaeframe.cli import options
from aaeframe.cli.commands import App, refuse_options
from aaeframe.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from aaeframe.benchmarking.history import Commit
    from aaeframe.benchmarking.report import Report
    from aaeframe.benchmarking.sweep import Sweep
    from aaeframe.storage.output import Output

app = App(invoke_without_command=True, no_args_is_help=False)

Measured = StrEnum("Measured", list(SUITES))  # type: ignore[misc]  # the names are those of the catalogue

NOISY: Final = 3
"""The exit code of --strict where ratios are unreliable."""

Text: TypeAlias = str | None


def _size(what: str, suites: str) -> Any:
    return typer.Option(metavar="SIZES", help=f"{what} ({suites}).", rich_help_panel="Sizes")


@app.callback()
def bench(
    context: typer.Context,
    case: Annotated[
        list[Measured] | None,
        typer.Option("--case", metavar="CASE", help=f"One of {', '.join(SUITES)}; may be repeated; default: all."),
    ] = None,
    added: Annotated[
        list[str] | None,
        typer.Option(
            "--with",
            metavar="MODULE:FUNCTION",
            help="Your own implementation of the work of the one --case, or the name of an installed benchmark; "
            "may be repeated.",
        ),
    ] = None,
    quick: Annotated[
        bool,
        typer.Option(
            "--quick", help="Use tiny sizes, which takes seconds: checks that it runs, does not measure speed."
        ),
    ] = False,
    rows: Annotated[Text, _size(f"Rows of x: {FORMS}", "parzen")] = None,
    samples: Annotated[Text, _size("Samples", "parzen")] = None,
    features: Annotated[Text, _size("Features of a row", "parzen")] = None,
    batch: Annotated[Text, _size("Rows of a minibatch", "loss, step")] = None,
    width: Annotated[Text, _size("Units of a layer", "loss, step")] = None,
    device: options.Device = "auto",
    out: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="File to write, .json; - is standard output. Default: bench-<time>.json, none with --json.",
        ),
    ] = None,
    plot: Annotated[
        str | None, typer.Option(metavar="FILE", help="Plot of the times over the size with several values, .png.")
    ] = None,
    append: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="History to append a line to, .jsonl; see aaeframe bench history."),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help=f"Exit with {NOISY} if the ratios are unreliable: see the notes.")
    ] = False,
    json: options.Json = False,
) -> None:
    """Time the kernels and the training step on this machine, next to the alternatives that are installed."""
    if context.invoked_subcommand is not None:
        refuse_options(context)
        return
    from aaeframe.benchmarking.report import now
    from aaeframe.cli.console import beside, print_json, say
    from aaeframe.storage.output import write_json

    suites = [str(it) for it in dict.fromkeys(case or ())] or list(SUITES)
    given = {"rows": rows, "samples": samples, "features": features, "batch": batch, "width": width}
    sizes = sweep(given, suites)
    if out is None and not json:
        out = f"bench-{now().replace(':', '')}.json"
    output = None if out is None else options.output(out, [".json"], json=json)
    picture = _picture(plot, sizes, output, json)
    history = None if append is None else _history(append)
    commit = None if history is None else _commit(history)  # before the measurement, which takes minutes
    report = _measured(context, suites, list(added or ()), quick, device, sizes)
    with ExitStack() as outputs:  # from the last to the first; a failure of one loses no other
        if picture is not None:
            outputs.callback(_draw, report, picture)
        if output is not None:
            outputs.callback(write_json, output, report.to_json())
        if json:
            outputs.callback(print_json, report.to_json())
        else:
            outputs.callback(_show, report, beside(picture if output is None or not output.is_standard else output))
        if history is not None:
            outputs.callback(_append, history, report, commit)
    written = [it for it in (output, picture, history) if it is not None]
    if not json:
        console = beside(next((it for it in written if it.is_standard), None))
        for it in written:
            say(f"written: {it}", console)
    if any(it.failed for it in report.cases):
        raise typer.Exit(1)
    if strict and (report.noise or any(it.noise for it in report.cases)):
        raise typer.Exit(NOISY)


@app.command()
def history(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="What aaeframe bench --append wrote.", show_default=False)
    ],
    case: Annotated[
        list[str] | None,
        typer.Option("--case", metavar="CASE", help="Only cases whose names begin so; may be repeated."),
    ] = None,
    plot: Annotated[str | None, typer.Option(metavar="FILE", help="Plot of the ratios over the runs, .png.")] = None,
    json: options.Json = False,
) -> None:
    """Print the ratios of the recorded runs, each machine and case apart."""
    from aaeframe.benchmarking.history import as_json, curves, read
    from aaeframe.cli.console import beside, print_json, say
    from aaeframe.cli.measurements import history_tables

    picture = None if plot is None else options.output(plot, [".png"], json=json, option="--plot")
    runs = read(file)
    found = curves(runs, case or ())
    if not found:
        known = sorted({it.name for run in runs for it in run.cases})
        raise ConfigError(f"{file} has no ratio of these cases; its {len(runs)} runs have {', '.join(known) or 'none'}")
    if json:
        print_json({"curves": as_json(found)})
    else:
        for table in history_tables(found):
            beside(picture).print(table)
    if picture is not None:
        from aaeframe.benchmarking.plots import ratios_over_commits
        from aaeframe.figures.canvas import save

        save(ratios_over_commits(found), picture)
        if not json:
            say(f"written: {picture}", beside(picture))


def _picture(plot: str | None, sizes: Sweep, output: Output | None, json: bool) -> Output | None:
    if plot is None:
        return None
    if sizes.swept is None:
        raise ConfigError(f"--plot {plot} draws times over a size with several values; give one, as --width 100,250")
    found = options.output(plot, [".png"], json=json, option="--plot")
    if output is not None and output.is_standard and found.is_standard:
        raise ConfigError("--out - and --plot - both write to standard output; leave one of them out")
    return found


def _history(append: str) -> Output:
    """The history, which is read once before anything is measured: another file is refused."""
    from aaeframe.benchmarking.history import read

    found = options.output(append, [".jsonl"], json=False, option="--append")
    if found.descriptor is not None or (found.path.exists() and not found.path.is_file()):
        raise ConfigError(f"--append {append} is no file that can be read again; give one that ends in .jsonl")
    if found.path.exists():
        read(found.path)
    return found


def _commit(history: Output) -> Commit | None:
    from aaeframe.benchmarking.history import commit_of

    return commit_of(Path.cwd(), history.path)


def _append(history: Output, report: Report, commit: Commit | None) -> None:
    from aaeframe.benchmarking.history import append, recorded

    append(history.path, recorded(report, commit))


def _measured(
    context: typer.Context, suites: Sequence[str], named: list[str], quick: bool, device: str, sizes: Sweep
) -> Report:
    from aaeframe.benchmarking.added import added, importing_later
    from aaeframe.benchmarking.case import BenchSettings
    from aaeframe.benchmarking.measure import measure
    from aaeframe.cli.console import err, note
    from aaeframe.training.device import pick

    console = err()
    joined = added(named, suites, options.registry(context), note)
    with importing_later(joined), redirect_stdout(sys.stderr):  # implementations from outside may print
        return measure(
            suites,
            BenchSettings(pick(device), quick),
            command=" ".join(["aaeframe", *sys.argv[1:]]),
            announce=lambda line: console.print(f"measuring {line}", markup=False),
            sizes=sizes,
            added=joined,
        )


def _draw(report: Report, picture: Output) -> None:
    from aaeframe.benchmarking.plots import times_over_size
    from aaeframe.figures.canvas import save

    save(times_over_size(report), picture)


def _show(report: Report, console: Console) -> None:
    from aaeframe.cli.console import say
    from aaeframe.cli.measurements import notes, tables

    for table in tables(report):
        console.print(table)
    for line in notes(report):
        say(line, console)
