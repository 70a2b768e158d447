"""Models side by side: how well their codes fill the prior (paper, figure 2), and how they learn."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

from aaeframe.errors import DataError
from aaeframe.figures.canvas import PRIOR, Array, as_array, class_colors, literal, new_figure, styled
from aaeframe.figures.curves import MARKED
from aaeframe.figures.points import class_indices, draw_key, draw_points, mark, plane_points

ACROSS: Final = 3
"""Panels side by side."""
PANEL: Final = 4.2
"""Inches of a panel."""
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


@styled
def learning_curves(
    curves: Mapping[str, tuple[Array, Array]], *, title: str, ylabel: str, xlabel: str = "epoch"
) -> Figure:
    """One line for each run, of its name to (x, y), both (N,); the legend tells where each ends.

    The vertical axis is logarithmic where the values are positive and span a factor of ten. What is not
    finite is a gap. DataError if there is no run, or one of them has nothing to draw.
    """
    runs = {name: _curve(name, x, y) for name, (x, y) in curves.items()}
    if not runs:
        raise DataError("there are no learning curves to draw: at least one run is needed")
    # Spaces at which no line is broken, so that the value stays on one.
    labels = [fill(f"{literal(name)} (ends\xa0at\xa0{y[np.isfinite(y)][-1]:.3g})", 42) for name, (_, y) in runs.items()]
    lines = math.ceil(len(labels) / 2) * max(label.count("\n") + 1 for label in labels)
    figure = new_figure(7.4, 4.4 + 0.19 * lines, title)
    axes = figure.add_subplot()
    axes.grid(axis="y")
    for label, (x, y), color in zip(labels, runs.values(), class_colors(len(runs)), strict=True):
        marker = "o" if len(x) <= MARKED else ""
        axes.plot(x, y, color=color, marker=marker, markersize=3.5, label=label)
    values = np.concatenate([y for _, y in runs.values()])
    _scale(axes, values[np.isfinite(values)])
    axes.set(xlabel=xlabel, ylabel=ylabel)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower left", ncols=2, fontsize=9)
    return figure


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
