"""The results that are printed after training."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aaeframe.cli.console import err, from_here, note, out, print_json, say
from aaeframe.cli.tables import report_tables
from aaeframe.errors import AaeframeError
from aaeframe.storage.text import plain

if TYPE_CHECKING:
    from aaeframe.runs.run import Run

SPLIT = "validation"
"""The split evaluated after training. The test set is for `aaeframe evaluate`, once all choices are made."""


def finish(run: Run, given: Path | None, *, json: bool) -> None:
    """Evaluate on validation data, plot the figures, and print the results and the run, whose folder was `given`.

    If a step fails with an AaeframeError, the others are still done. Then the commands for the missing results are
    printed, and the error is raised.
    """
    failures: dict[str, AaeframeError] = {}
    report: dict[str, Any] | None = None
    figures: list[Path] = []
    with _put_off(failures, "evaluate", "figures"):
        dataset = run.dataset()
        if not len(dataset.validation):
            note("no validation rows were held out, so nothing is evaluated; aaeframe evaluate RUN --data FILE does it")
        else:
            with _put_off(failures, "evaluate"):
                report = run.evaluate(dataset, split=SPLIT, two_sample=False, warn=note)
            with _put_off(failures, "figures"):
                figures = run.plot_figures(dataset, split=SPLIT, warn=note)
    if run.stopping is not None and run.best_epoch is not None:
        waited = f"stopped early after {run.stopping.waited} epochs without improvement; " if run.stopped_early else ""
        note(f"{waited}{run.stopping}. These are the last weights; use those of the best epoch by --best")
    path = from_here(run.folder.path, given)
    _print(run, path, report, [str(from_here(it, given)) for it in figures], json)
    if report is not None:
        with _put_off(failures, "evaluate"):
            run.folder.write_evaluation(SPLIT, report)
    if failures:
        _tell_what_is_missing(path, failures)


def summary(run: Run, path: Path, report: dict[str, Any] | None, figures: list[str]) -> dict[str, Any]:
    """The result of a training as JSON."""
    return {"run": str(path), "finished": run.finished, "evaluation": report, "figures": figures} | (
        {} if run.stopping is None else {"stopped_early": run.stopped_early, "best_epoch": run.best_epoch}
    )


@contextmanager
def _put_off(failures: dict[str, AaeframeError], *commands: str) -> Iterator[None]:
    """Record an AaeframeError under the commands that can repeat the block later."""
    try:
        yield
    except AaeframeError as error:
        failures.update(dict.fromkeys(commands, error))


def _tell_what_is_missing(path: Path, failures: dict[str, AaeframeError]) -> None:
    """Print that the run was saved and the commands for the missing results, and raise the first error."""
    again = " and ".join(shlex.join(["aaeframe", command, str(path), "--split", SPLIT]) for command in failures)
    err().print(f"training finished and was saved. A later step failed; fix the cause and run: {again}", markup=False)
    first, *others = dict.fromkeys(failures.values())
    for failure in others:
        err().print(plain(f"error: {failure}"), markup=False)
    raise first


def _print(run: Run, path: Path, report: dict[str, Any] | None, figures: list[str], json: bool) -> None:
    if json:
        print_json(summary(run, path, report, figures))
        return
    console = out()
    for table in report_tables(report) if report else ():
        console.print(table)
    say(f"run       {path}")
    for figure in figures:
        say(f"figure    {figure}")
    if report:
        say(f"match     {shlex.join(['aaeframe', 'evaluate', str(path), '--split', SPLIT])}")
    say(f"look      {shlex.join(['aaeframe', 'report', str(path)])}")
