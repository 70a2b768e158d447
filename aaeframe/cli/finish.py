"""What is printed when a training is done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aaeframe.cli.console import out, print_json, report_tables, say

if TYPE_CHECKING:
    from aaeframe.run import Run

SPLIT = "validation"
"""The split a training reports on; the test set is for `aaeframe evaluate`, when all choices are made."""


def finish(run: Run, *, json: bool) -> None:
    """Evaluate on validation data, draw the figures, print both."""
    dataset = run.dataset()
    report = run.evaluate(dataset, split=SPLIT)
    run.folder.write_evaluation(SPLIT, report)
    paths = run.draw_figures(dataset, split=SPLIT)
    if json:
        print_json(summary(run, report, [str(path) for path in paths]))
        return
    console = out()
    for table in report_tables(report):
        console.print(table)
    say(f"run       {run.folder.path}")
    for path in paths:
        say(f"figure    {path}")


def summary(run: Run, report: dict[str, Any], figures: list[str]) -> dict[str, Any]:
    """The result of a training as JSON."""
    return {"run": str(run.folder.path), "finished": run.finished, "evaluation": report, "figures": figures}
