"""What is printed when a training is done."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aaeframe.cli.console import err, out, plain, print_json, say
from aaeframe.cli.tables import report_tables
from aaeframe.errors import AaeframeError

if TYPE_CHECKING:
    from aaeframe.runs.run import Run

SPLIT = "validation"
"""The split a training reports on; the test set is for `aaeframe evaluate`, when all choices are made."""


def finish(run: Run, *, json: bool) -> None:
    """Evaluate on validation data, draw the figures, and print both and the run.

    What of it fails with an AaeframeError is left out; when the rest is printed, so is how to get what is missing, and
    the error is raised.
    """
    failures: dict[str, AaeframeError] = {}
    report: dict[str, Any] | None = None
    figures: list[Path] = []
    with _put_off(failures, "evaluate", "figures"):
        dataset = run.dataset()
        with _put_off(failures, "evaluate"):
            report = run.evaluate(dataset, split=SPLIT)
        with _put_off(failures, "figures"):
            figures = run.plot_figures(dataset, split=SPLIT)
    _print(run, report, [str(path) for path in figures], json)
    if report is not None:
        with _put_off(failures, "evaluate"):
            run.folder.write_evaluation(SPLIT, report)
    if failures:
        _tell_what_is_missing(run, failures)


def summary(run: Run, report: dict[str, Any] | None, figures: list[str]) -> dict[str, Any]:
    """The result of a training as JSON."""
    return {"run": str(run.folder.path), "finished": run.finished, "evaluation": report, "figures": figures}


@contextmanager
def _put_off(failures: dict[str, AaeframeError], *commands: str) -> Iterator[None]:
    """Keep an error of the framework under the commands that do later what is inside."""
    try:
        yield
    except AaeframeError as error:
        failures.update(dict.fromkeys(commands, error))


def _tell_what_is_missing(run: Run, failures: dict[str, AaeframeError]) -> None:
    """Say that the training is done and how to get the rest, and raise the first error."""
    again = " and ".join(
        shlex.join(["aaeframe", command, str(run.folder.path), "--split", SPLIT]) for command in failures
    )
    err().print(
        f"the training is done and kept; what failed after it is had, once that is mended, with: {again}", markup=False
    )
    first, *others = dict.fromkeys(failures.values())
    for failure in others:
        err().print(plain(f"error: {failure}"), markup=False)
    raise first


def _print(run: Run, report: dict[str, Any] | None, figures: list[str], json: bool) -> None:
    if json:
        print_json(summary(run, report, figures))
        return
    console = out()
    for table in report_tables(report) if report else ():
        console.print(table)
    say(f"run       {run.folder.path}")
    for path in figures:
        say(f"figure    {path}")
