"""Plots of measurements: times over a size, and ratios over commits."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from aaeframe.benchmarking.history import Curves, Point
from aaeframe.benchmarking.report import BenchRow, CaseReport, Report
from aaeframe.errors import ConfigError
from aaeframe.figures.canvas import class_colors, literal, new_figure, styled

WIDTH, HEIGHT = 8.0, 4.0
"""Inches of a panel, its legend included."""
PANELS: Final = 40
MARKERS: Final = "osD^v<>Pp*"
WORDS: Final = 48
"""The largest number of characters of a label of a run."""


@styled
def times_over_size(report: Report) -> Figure:
    """Plot the time of a call over the swept size, a panel for each kind of case.

    Each alternative has a line through its medians and a band from its 20 % to its 80 % quantile. ConfigError if
    nothing was timed.
    """
    swept = report.swept
    kinds: dict[str, list[CaseReport]] = {}
    for case in report.cases:
        if case.rows:
            kinds.setdefault(case.kind, []).append(case)
    if swept is None or not kinds:
        raise ConfigError("there is nothing to plot: no alternative has a time over a swept size")
    figure, panels = _panels(len(kinds), f"Seconds a call over {swept}: medians, and quantiles of 20 and 80 %")
    for panel, (kind, cases) in zip(panels, kinds.items(), strict=True):
        _plot_times(panel, cases, swept)
        fixed = " ".join(f"{name}={size}" for name, size in cases[0].sizes.items() if name != swept)
        panel.set_title(literal(f"{kind} {fixed}".strip()))
    return figure


def _plot_times(panel: Axes, cases: Sequence[CaseReport], swept: str) -> None:
    lines: dict[str, list[tuple[int, BenchRow]]] = {}
    for case in cases:
        for row in case.rows:
            lines.setdefault(row.alternative, []).append((case.sizes[swept], row))
    for number, (name, points) in enumerate(lines.items()):
        points.sort(key=lambda it: it[0])
        sizes, rows = [size for size, _ in points], [row for _, row in points]
        lower = [row.seconds if row.quantile_20 is None else row.quantile_20 for row in rows]
        upper = [row.seconds if row.quantile_80 is None else row.quantile_80 for row in rows]
        color, marker = _look(number, len(lines))
        label = literal(name if rows[0].origin is None else f"{name} ({rows[0].origin})")
        panel.plot(sizes, [row.seconds for row in rows], color=color, marker=marker, markersize=4, label=label)
        panel.fill_between(sizes, lower, upper, color=color, alpha=0.2, linewidth=0)
    panel.set(xscale="log", yscale="log", xlabel=swept, ylabel="seconds")
    sizes = sorted({size for points in lines.values() for size, _ in points})
    panel.set_xticks(sizes, [f"{size:g}" for size in sizes])
    panel.xaxis.set_minor_locator(NullLocator())
    panel.yaxis.set_major_locator(LogLocator(numticks=8))
    panel.grid(True)
    _legend(panel)


@styled
def ratios_over_commits(found: Sequence[Curves]) -> Figure:
    """Plot the ratio to the baseline over the runs, a panel for each case of each machine.

    Runs are in the order of their dates, and named by their commits. Hollow points are of noisy runs. ConfigError
    without a ratio, or with more panels than a picture can hold.
    """
    if not found:
        raise ConfigError("there is nothing to plot: the history has no ratio of these cases")
    figure, panels = _panels(len(found), "Time over that of the baseline; less is faster")
    for panel, curve in zip(panels, found, strict=True):
        _plot_ratios(panel, curve.points)
        panel.set_title(literal(f"{curve.case}\n{curve.machine}"), fontsize="small")
        panel.set_ylabel(literal(f"over {curve.baseline}"), fontsize="small")
    return figure


def _plot_ratios(panel: Axes, points: Mapping[str, Sequence[Point]]) -> None:
    runs = sorted({(it.date, it.label) for each in points.values() for it in each})
    for number, (name, each) in enumerate(points.items()):
        color, marker = _look(number, len(points))
        places = [runs.index((it.date, it.label)) for it in each]
        panel.plot(places, [it.ratio for it in each], color=color, label=literal(name))
        for noisy in (False, True):
            mine = [(place, it.ratio) for place, it in zip(places, each, strict=True) if it.noisy is noisy]
            if mine:
                face = "none" if noisy else color
                panel.plot(*zip(*mine, strict=True), marker, color=color, markerfacecolor=face, markersize=5)
    panel.axhline(1.0, color="#6e6e6e", linewidth=0.8)
    step = max(1, math.ceil(len(runs) / 24))
    shown = range(0, len(runs), step)
    panel.set_xticks(list(shown), [literal(runs[it][1][:WORDS]) for it in shown], rotation=45, ha="right")
    panel.xaxis.set_minor_locator(NullLocator())
    panel.grid(True, axis="y")
    _legend(panel)


def _panels(count: int, title: str) -> tuple[Figure, list[Axes]]:
    if count > PANELS:
        raise ConfigError(f"{count} cases are too many for a plot, which has at most {PANELS}; choose by --case")
    figure = new_figure(WIDTH, 0.6 + HEIGHT * count, title)
    return figure, [figure.add_subplot(count, 1, number + 1) for number in range(count)]


def _look(number: int, count: int) -> tuple[str, str]:
    return class_colors(count)[number], MARKERS[number % len(MARKERS)]


def _legend(panel: Axes) -> None:
    panel.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize="x-small")
