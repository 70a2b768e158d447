"""What is printed when a training is done."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aaeframe.cli.console import err, out, print_json, report_tables, say
from aaeframe.errors import AaeframeError

if TYPE_CHECKING:
    from aaeframe.run import Run

SPLIT = "validation"
"""The split a training reports on; the test set is for `aaeframe evaluate`, when all choices are made."""


def finish(run: Run, *, json: bool) -> None:
    """Evaluate on validation data, draw the figures, and print both and the run.

    What of it fails with an AaeframeError is left out, and the error raised when the rest is printed.
    """
    failures: list[AaeframeError] = []
    report: dict[str, Any] | None = None
    figures: list[Path] = []
    with _put_off(failures):
        dataset = run.dataset()
        with _put_off(failures):
            report = run.evaluate(dataset, split=SPLIT)
        with _put_off(failures):
            figures = run.draw_figures(dataset, split=SPLIT)
    _print(run, report, [str(path) for path in figures], json)
    if report is not None:
        with _put_off(failures):
            run.folder.write_evaluation(SPLIT, report)
    for failure in failures[1:]:
        err().print(f"error: {failure}", markup=False)
    if failures:
        raise failures[0]


def summary(run: Run, report: dict[str, Any] | None, figures: list[str]) -> dict[str, Any]:
    """The result of a training as JSON."""
    return {"run": str(run.folder.path), "finished": run.finished, "evaluation": report, "figures": figures}


@contextmanager
def _put_off(failures: list[AaeframeError]) -> Iterator[None]:
    try:
        yield
    except AaeframeError as error:
        failures.append(error)


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
