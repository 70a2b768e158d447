"""Models side by side: how well their codes fill the prior (paper, figure 2), and how they learn."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import Final, NamedTuple

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator, StrMethodFormatter

from aaeframe.errors import DataError
from aaeframe.figures.canvas import MUTED, PRIOR, Array, as_array, class_colors, literal, new_figure, styled
from aaeframe.figures.curves import DASHED, MARKED
from aaeframe.figures.points import class_indices, draw_key, draw_points, mark, plane_points

ACROSS: Final = 3
"""Panels side by side."""
PANEL: Final = 4.2
"""Inches of a panel."""
SMALL_PANEL: Final = 3.6
"""Inches of a panel of learning curves."""
WIDE_RANGE: Final = 10.0
"""The ratio of the largest to the smallest value from which a curve is drawn on a logarithmic axis."""


@styled
def codes_side_by_side(
    codes: Mapping[str, Array],
    labels: Array | None,
    prior_samples: Array,
    *,
    title: str,
    class_names: Sequence[str] | None = None,
) -> Figure:
    """The codes (N, 2) of the same rows under each model, colored by labels (N,), over the prior's samples (M, 2).

    Gray that shows is where the prior has mass and the model no codes. Every panel has the same limits.
    DataError without a model, for codes that are not of a plane, or not as many as labels.
    """
    if not codes:
        raise DataError("there are no codes to compare: at least one model is needed")
    prior = plane_points(prior_samples, "prior samples")
    drawn = {name: plane_points(z, f"codes of the {name}") for name, z in codes.items()}
    classes = [class_indices(labels, len(z)) for z in drawn.values()]
    down = math.ceil(len(drawn) / ACROSS)
    across = math.ceil(len(drawn) / down)
    figure = new_figure(PANEL * across + 1.4, 0.45 + PANEL * down, title)
    limits = _limits(np.concatenate([prior, *drawn.values()]))
    panels = []
    for index, ((name, z), found) in enumerate(zip(drawn.items(), classes, strict=True)):
        panels.append(figure.add_subplot(down, across, index + 1))
        _panel(panels[-1], name, prior, limits)
        draw_points(panels[-1], z, found)
    draw_key(figure, panels[across - 1], classes[0], class_names, mark("prior samples", PRIOR))
    return figure


def _limits(points: np.ndarray) -> np.ndarray:
    """A square that holds all points (N, 2), as its low and high corner (2, 2)."""
    low, high = points.min(0), points.max(0)
    half = 0.53 * ((high - low).max() or 1.0)
    return np.stack([(low + high) / 2 - half, (low + high) / 2 + half])


def _panel(axes: Axes, name: str, prior: np.ndarray, limits: np.ndarray) -> None:
    axes.set_aspect("equal", adjustable="box")
    area = float(np.clip(20_000 / len(prior), 4, 18))
    axes.scatter(prior[:, 0], prior[:, 1], s=area, color=PRIOR, linewidths=0)
    axes.locator_params(nbins=7)
    axes.set(
        xlim=limits[:, 0], ylim=limits[:, 1], title=fill(literal(name), int(10 * PANEL)), xlabel="$z_1$", ylabel="$z_2$"
    )


class Course(NamedTuple):
    """How the runs of one experiment learned."""

    runs: Mapping[str, Sequence[tuple[Array, Array]]]
    """Of what runs are called to the (x, y) of each of them, both (N,)."""
    reference: tuple[str, float] | None = None
    """What the curves are held against, and what it is called."""


@styled
def learning_curves(courses: Mapping[str, Course], *, title: str, ylabel: str) -> Figure:
    """A panel for each experiment that has runs, by its title, with a line for each run by epoch; runs of one name have
    one color everywhere.

    A vertical axis is logarithmic where the values are positive and span a factor of ten. What is not
    finite is a gap. DataError if there is no run, or one of them has nothing to draw.
    """
    drawn = {
        it: {name: [_curve(name, *xy) for xy in runs] for name, runs in course.runs.items() if runs}
        for it, course in courses.items()
        if any(course.runs.values())
    }
    names = list(dict.fromkeys(name for runs in drawn.values() for name in runs))
    if not names:
        raise DataError("there are no learning curves to draw: at least one run is needed")
    colors = dict(zip(names, class_colors(len(names)), strict=True))
    down = math.ceil(len(drawn) / ACROSS)
    across = math.ceil(len(drawn) / down)
    keys: dict[str, Artist] = {}
    figure = new_figure(max(4.8, SMALL_PANEL * across), 0.9 + 2.9 * down + 0.2 * math.ceil(len(names) / across), title)
    for index, (experiment, runs) in enumerate(drawn.items()):
        axes = figure.add_subplot(down, across, index + 1)
        _draw_course(axes, runs, colors, courses[experiment].reference)
        wrapped = fill(literal(experiment), int(9 * SMALL_PANEL))
        axes.set(title=wrapped, xlabel="epoch", ylabel="" if index % across else ylabel)
        keys |= {key: artist for artist, key in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(keys.values(), keys, loc="outside lower left", ncols=across, fontsize=9)
    return figure


def _draw_course(
    axes: Axes,
    runs: Mapping[str, Sequence[tuple[np.ndarray, np.ndarray]]],
    colors: Mapping[str, str],
    reference: tuple[str, float] | None,
) -> None:
    axes.grid(axis="y")
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))
    values = [y[np.isfinite(y)] for curves in runs.values() for _, y in curves]
    for name, curves in runs.items():
        for x, y in curves:
            marker = "o" if len(x) <= MARKED else ""
            axes.plot(x, y, color=colors[name], marker=marker, markersize=3.5, label=fill(literal(name), 42))
    if reference is not None:
        called, value = reference
        axes.axhline(value, color=MUTED, linestyle=DASHED, label=literal(called))
        values.append(np.array([value]))
    _scale(axes, np.concatenate(values))


def _curve(name: str, x: Array, y: Array) -> tuple[np.ndarray, np.ndarray]:
    where, values = as_array(x), as_array(y)
    if where.ndim != 1 or where.shape != values.shape or not np.isfinite(values).any():
        raise DataError(
            f"the curve {name!r} needs as many x as y, (N,) each, with a finite y; "
            f"found shapes {where.shape} and {values.shape}, {np.isfinite(values).sum()} finite y"
        )
    return where, values


def _scale(axes: Axes, values: np.ndarray) -> None:
    """A logarithmic axis with plain numbers for values of a wide range; else one that begins at 0 if none is less."""
    low, high = values.min(), values.max()
    if low > 0 and high >= WIDE_RANGE * low:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    elif low >= 0:
        axes.set_ylim(bottom=0)
