"""The report of runs, with their data and measurements, and the figures of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from aaeframe.data import Dataset
from aaeframe.errors import ConfigError
from aaeframe.figures.gallery import plot_gallery
from aaeframe.global_state import PATCHABLE, restoring
from aaeframe.report.page import render
from aaeframe.report.pictures import require_points
from aaeframe.report.subject import Subject
from aaeframe.runs.measuring import chosen, log_access
from aaeframe.runs.run import Run
from aaeframe.storage.metrics_file import MetricsFile
from aaeframe.storage.output import Output
from aaeframe.torch_state import default_state


def write_report(
    runs: Mapping[str, Run],
    output: Output,
    *,
    split: str = "validation",
    points: int | None = None,
    data_changed: bool = False,
    warn: Callable[[str], None],
) -> None:
    """Write one page of these runs, by the names that it shows.

    Args:
        runs: one or more runs.
        output: the file.
        split: the rows that it shows: "validation", "test" or "train".
        points: the largest number of rows in the explorer; None for as many as fit.
        data_changed: use the data even if it is no longer that of the training.
        warn: called with sentences of the evaluation.

    Raises:
        ConfigError: the split or the number of points is none of these, or so many images do not fit.
        DataError: the data of a run is missing, or not what it was.
        RunError: the file cannot be written.
    """
    if split not in ("validation", "test", "train"):
        raise ConfigError(f"a report shows the rows of validation, test or train, found split={split!r}")
    if points is not None and (not isinstance(points, int | np.integer) or points < 1):
        raise ConfigError(f"a report shows a whole number of points, one or more, found points={points!r}")
    page = render([_subject(name, run, split, points, data_changed, warn) for name, run in runs.items()])
    with output.writing() as file:
        file.write(page.encode())


def default_output(runs: Sequence[Run]) -> Output:
    """The file for a report without a name: in the folder of the first run. RunError for a run in memory."""
    name = "report.html" if len(runs) == 1 else "comparison.html"
    return Output(runs[0].folder.path / name, ".html", follows=False)


def _subject(
    name: str, run: Run, split: str, points: int | None, data_changed: bool, warn: Callable[[str], None]
) -> Subject:
    dataset = run.dataset(data_changed=data_changed)
    if points is not None:
        require_points(run.model.data_shape, min(points, len(dataset.split(split))))
    return Subject(
        name,
        run.config,
        run.model,
        dataset,
        split,
        evaluation=run.evaluate(dataset, split=split, warn=warn),
        metrics=run.metrics,
        step=run.step,
        weights="trained weights" if run.raw_weights else "moving average of the weights",
        finished=run.finished,
        stopped=_stopped(run),
        category_names=run.category_names,
        informed=run.informed,
        accesses=[] if run.home is None else MetricsFile(run.home.test_accesses).rows(),
        points=points,
    )


def _stopped(run: Run) -> str | None:
    """A sentence on early stopping."""
    if run.stopping is None or not run.stopped_early:
        return None
    return f"Stopped early after {run.stopping.waited} epochs without improvement; {run.stopping}."


@default_state()
@restoring("a component of the run", PATCHABLE)
def plot_figures(
    run: Run, dataset: Dataset | None, split: str, out: Path | str | None, warn: Callable[[str], None]
) -> list[Path]:
    """Plot the figures of a run: see `Run.plot_figures`."""
    target = run.folder.figures if out is None else Path(out)
    data = run.own_classes(chosen(run, dataset))
    log_access(run, data, split, "figures", warn)
    paths = plot_gallery(
        run.model,
        data,
        split,
        run.metrics,
        target,
        seed=run.config.training.seed,
        informed=run.informed,
        loss=run.config.training.loss,
        knows_classes=run.category_names is not None,
    )
    if run.reporting is not None:
        run.reporting.drawn(paths, warn)
    return paths
