"""`aaeframe compare`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aaeframe.cli import options
from aaeframe.cli.evaluate import Held
from aaeframe.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.table import Table

    from aaeframe.runs.run import Run


def compare(
    context: typer.Context,
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN RUN ...", help="Runs with the same data and prior.", show_default=False)
    ],
    split: Annotated[Held, typer.Option(metavar="SPLIT", help="Held-out rows to use: test or validation.")] = Held.test,
    out: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="Figure of the codes side by side, .png; for 2-D codes only. - is standard output."
        ),
    ] = None,
    data_changed: options.DataChanged = False,
    device: options.Device = "auto",
    raw_weights: options.RawWeights = False,
    best: options.Best = False,
    json: options.Json = False,
) -> None:
    """Compare runs: how well codes match the prior and rows are reconstructed. Can plot their codes."""
    from aaeframe.cli.console import beside, note, print_json, say
    from aaeframe.runs.reading import training_data

    output = None if out is None else options.output(out, [".png"], json=json)
    if len({path.resolve() for path in runs}) < max(2, len(runs)):
        raise ConfigError(f"compare takes two or more different runs, found {', '.join(map(str, runs))}; name others")
    opened = {str(path): options.load_run(context, path, device, raw_weights, best) for path in runs}
    block = _shared_block(opened)
    if output is not None:
        _check_plane(block, next(iter(opened.values())))
    # Last, those that started from another run: they read the data in its classes, which may be more.
    first, *others = sorted(opened.values(), key=lambda run: run.config.training.initial is not None)
    dataset = first.dataset(data_changed=data_changed)
    for run in others:  # the file may have changed between two trainings
        training_data(run, data_changed=data_changed, read=dataset)
    reports = {name: run.evaluate(dataset, split=split, warn=note) for name, run in opened.items()}
    if json:
        print_json(reports)
    else:
        beside(output).print(_table(reports, block))
    if output is not None:
        from aaeframe.figures.gallery import plot_comparison

        plot_comparison({name: run.model for name, run in opened.items()}, block, dataset, split, output)
        if not json:
            say(f"figure    {output}", beside(output))


def _shared_block(runs: Mapping[str, Run]) -> str:
    """The one block of all runs. ConfigError unless the runs share their data and a prior of one block."""
    shared = [(_data_of(run), _prior_of(run)) for run in runs.values()]
    if any(it != shared[0] for it in shared) or len(shared[0][1]) != 1:
        found = "; ".join(
            f"{name}: {run.config.data.source}, {', '.join(_prior_of(run))}" for name, run in runs.items()
        )
        raise ConfigError(f"runs must share their data, its split and a prior of one block, found {found}; name others")
    return next(iter(shared[0][1]))


def _check_plane(block: str, run: Run) -> None:
    shape = tuple(run.model.priors[block].event_shape)
    if shape != (2,):
        raise ConfigError(
            f"--out plots codes of two dimensions, those of block {block!r} have the shape {shape}; leave it out"
        )


def _data_of(run: Run) -> tuple[object, ...]:
    data = run.config.data
    return data.source, data.reading


def _prior_of(run: Run) -> dict[str, tuple[str, dict[str, Any]]]:
    return {block: (part.component, part.options) for block, part in run.config.prior.items()}


def _table(reports: Mapping[str, Mapping[str, Any]], block: str) -> Table:
    from aaeframe.cli.console import table

    columns: Sequence[str] = ["", "sliced Wasserstein", "prior itself", "two-sample accuracy", "reconstruction ratio"]
    return table(
        f"Match of block {block!r} with its prior, and reconstruction error over the mean row's",
        columns,
        [[name, *_cells(report["blocks"][block], report["reconstruction"])] for name, report in reports.items()],
    )


def _cells(match: Mapping[str, Any], reconstruction: Mapping[str, Any]) -> list[str]:
    values = (match["sliced_wasserstein"], match["sliced_wasserstein_floor"], match["two_sample"])
    return ["too few rows" if it is None else f"{it:.3f}" for it in (*values, reconstruction["ratio"])]
