"""`aaeframe evaluate` and `aaeframe figures`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aaeframe.cli import options
from aaeframe.errors import ConfigError

if TYPE_CHECKING:
    from aaeframe.cli.interrupts import Stop
    from aaeframe.data import Dataset
    from aaeframe.evaluation.likelihood import Ranks
    from aaeframe.runs.run import Run
    from aaeframe.storage.output import Output


class Held(StrEnum):
    """The splits that are not used for training."""

    test = "test"
    validation = "validation"


Split = Annotated[Held, typer.Option(metavar="SPLIT", help="Held-out rows to use: test or validation.")]


def evaluate(
    context: typer.Context,
    run: options.RunArgument,
    split: Split = Held.test,
    likelihood: Annotated[
        bool,
        typer.Option(
            "--likelihood",
            help="Also estimate the Parzen log-likelihood (paper, section 3). Validation rows choose the bandwidth.",
        ),
    ] = False,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Also measure this metric of `aaeframe plugins list`, with options in parentheses; may be repeated.",
        ),
    ] = None,
    samples: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Samples for --likelihood; default: 10000. The same command resumes a stopped one."
        ),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Arithmetic in which --likelihood decodes samples: fp32, bf16, or tf32 (GPU only); default: fp32.",
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(metavar="NAME|PATH", help="Measure on all rows of this data, never seen, in place of a split."),
    ] = None,
    label_key: Annotated[
        str | None, typer.Option(metavar="NAME", help="Column or array of the labels of --data.")
    ] = None,
    data_changed: options.DataChanged = False,
    out: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="File for the reports, .json; - is standard output. Default: evaluation.json of the run.",
        ),
    ] = None,
    device: options.Device = "auto",
    raw_weights: options.RawWeights = False,
    best: options.Best = False,
    json: options.Json = False,
) -> None:
    """Measure on held-out data how well codes match the prior and how well rows are reconstructed.

    Started by torchrun, several processes share the samples of --likelihood; the first one does the rest.
    """
    from aaeframe.cli.console import err, note
    from aaeframe.cli.interrupts import leaving
    from aaeframe.cli.ranks import launched
    from aaeframe.training.device import check_precision

    if samples is not None and not likelihood:
        raise ConfigError("--samples is the number of samples for --likelihood, which is not given; add --likelihood")
    if precision is not None and not likelihood:
        raise ConfigError("--precision applies only to --likelihood, which is not given; add --likelihood")
    if data is not None and split is not Held.test:
        raise ConfigError(
            f"--split {split} is a split of the run's data, and --data is measured whole; leave one of them out"
        )
    if data is None and label_key is not None:
        raise ConfigError("--label-key names the labels of --data, which is not given; leave it out")
    output = None if out is None else options.output(out, [".json"], json=json)
    if output is not None and output.path.resolve().is_relative_to(run.resolve()):
        raise ConfigError(f"--out {out} is inside the run; leave --out out to add the report to its evaluation.json")
    with (
        leaving(err(), "interrupted; nothing was written", after="these samples") as stop,
        launched() as ranks,
    ):
        if ranks.share.count > 1 and not likelihood:
            raise ConfigError(
                f"{ranks.share.count} processes share the samples of --likelihood, which is not given; add it, or "
                "start one process"
            )
        opened = options.load_run(context, run, device, raw_weights, best)
        arithmetic = precision or "fp32"
        check_precision(arithmetic, opened.model.device)
        if output is None:
            options.check_writable(run)
        if data is None:
            dataset = opened.dataset(data_changed=data_changed)
        else:
            dataset = opened.unseen(data, label_key=label_key, data_changed=data_changed)
        given = {"split": split.value, "warn": note}
        work = _Work(opened, dataset, given, samples or 10_000, arithmetic, output, json, stop, ranks)
        if ranks.share.index > 0:
            work.likelihood()
        else:
            work.whole(metric or (), likelihood)


@dataclass(frozen=True)
class _Work:
    """A measurement: of what, and where its results go."""

    run: Run
    dataset: Dataset
    given: dict[str, Any]
    samples: int
    precision: str
    output: Output | None
    json: bool
    stop: Stop
    ranks: Ranks

    def whole(self, metrics: Sequence[str], likelihood: bool) -> None:
        """Measure, print and write everything."""
        from aaeframe.cli.console import beside, print_json
        from aaeframe.cli.tables import likelihood_table, report_tables
        from aaeframe.storage.output import write_json

        console, found = beside(self.output), None
        report = self.run.evaluate(self.dataset, metrics=metrics, **self.given)
        if self.output is None:
            self.stop.message = "interrupted; the measurements are stored"
        try:
            if not self.json:
                for table in report_tables(report):
                    console.print(table)
            if likelihood:
                found = self.likelihood()
                if not self.json:
                    console.print(likelihood_table(found))
            if self.json:
                print_json({**report, "likelihood": found} if likelihood else report)
        finally:  # neither a closed pipe loses the file, nor a full disk the tables
            if self.output is None:
                self.run.folder.write_evaluation(report["split"], report)
        if self.output is not None:
            write_json(self.output, {report["split"]: report, **({"likelihood": found} if likelihood else {})})

    def likelihood(self) -> dict[str, Any]:
        """Estimate the likelihood; of several processes each its share, and the first shows the progress."""
        from aaeframe.cli.progress import samples_shown

        with (
            samples_shown() as progress,
            self.stop.between(progress, "stopped; run the same command to resume from here") as it,
        ):
            return self.run.likelihood(
                self.dataset,
                samples=self.samples,
                precision=self.precision,
                progress=it,
                store=self.output is None,
                ranks=self.ranks,
                **self.given,
            )


def figures(
    context: typer.Context,
    run: options.RunArgument,
    split: Split = Held.test,
    data_changed: options.DataChanged = False,
    out: Annotated[
        Path | None,
        typer.Option(
            parser=options.folder, metavar="FOLDER", help="Folder for the figures; default: figures of the run."
        ),
    ] = None,
    device: options.Device = "auto",
    raw_weights: options.RawWeights = False,
    best: options.Best = False,
    json: options.Json = False,
) -> None:
    """Draw codes, reconstructions, samples, the decoded plane and the loss curves."""
    from aaeframe.cli.console import from_here, note, print_json, say

    opened = options.load_run(context, run, device, raw_weights, best)
    if out is None:
        options.check_writable(run)
    drawn = opened.plot_figures(opened.dataset(data_changed=data_changed), split=split, out=out, warn=note)
    paths = [from_here(it, out or run) for it in drawn]
    if json:
        print_json({"figures": [str(path) for path in paths]})
        return
    for path in paths:
        say(str(path))
