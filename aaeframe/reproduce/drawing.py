"""A picture of how the runs behind the table's errors learned."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from aaeframe import figures
from aaeframe.figures import Course
from aaeframe.reproduce.columns import COLUMNS
from aaeframe.reproduce.results import Result


def draw_curves(results: Sequence[Result], path: Path) -> bool:
    """Draw a panel for each row that is an error, with its runs, done or not, beside the paper's number.

    False, and nothing is drawn, if no run tells its error by epoch. RunError if the picture cannot be written.
    """
    errors = [it for it in results if it.row.error is not None]
    titles = dict.fromkeys(it.title for it in errors)
    courses = {title: _course([it for it in errors if it.title == title]) for title in titles}
    if not any(course.runs for course in courses.values()):
        return False
    figure = figures.learning_curves(courses, title="Learning curves", ylabel="watched validation rows wrong, %")
    figures.save(figure, path)
    return True


def _course(columns: Sequence[Result]) -> Course:
    """Of one row."""
    runs = {COLUMNS[it.column]: errors for it in columns if (errors := _errors(it))}
    paper = columns[0].row.paper
    return Course(runs, None if paper is None else ("the paper, test rows", paper.value))


def _errors(result: Result) -> list[tuple[np.ndarray, np.ndarray]]:
    """Epochs and errors in percent, of each run that tells them."""
    return [
        (np.array(curve.epochs), 100 * np.array(curve.values))
        for curve in result.curves
        if curve.measure == "validation/error"
    ]
