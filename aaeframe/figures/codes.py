"""Codes of one block, colored by class, over the samples of its prior."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from aaeframe.errors import DataError
from aaeframe.figures.canvas import MUTED, PRIOR, Array, as_array, class_colors, literal, new_figure, styled
from aaeframe.figures.categories import categorical_block
from aaeframe.figures.curves import ACROSS, PANEL
from aaeframe.figures.points import called, class_indices, dot_area, mark, plane_points, plot_legend, plot_points


def codes_by_class(
    codes: Array,
    labels: Array | None,
    prior_samples: Array,
    *,
    title: str,
    class_names: Sequence[str] | None = None,
) -> Figure:
    """Plot the codes (N, *event_shape), colored by labels (N,), over prior samples (M, *event_shape) in gray.

    Two dimensions are plotted directly, one as a strip for each class. More are projected on the two principal axes of
    the codes, and the prior on the same axes. A block whose prior samples are one-hot is plotted by
    `categorical_block`. DataError for labels that are not class indices, one for each of the codes.
    """
    z, prior = (as_array(x).reshape(len(x), -1) for x in (codes, prior_samples))
    if z.shape[1] != prior.shape[1]:
        raise DataError(f"codes have {z.shape[1]} dimensions, the prior samples {prior.shape[1]}")
    classes = class_indices(labels, len(z))
    if z.shape[1] > 1 and _one_hot(prior):
        return categorical_block(z, classes, title=title, class_names=class_names)
    if z.shape[1] == 1:
        return _strips(z[:, 0], classes, prior[:, 0], title, class_names)
    return _scatter(z, classes, prior, title, class_names)


def _one_hot(rows: np.ndarray) -> bool:
    return bool(np.isin(rows, (0, 1)).all() and (rows.sum(1) == 1).all())


@styled
def _scatter(
    z: np.ndarray, labels: np.ndarray | None, prior: np.ndarray, title: str, names: Sequence[str] | None
) -> Figure:
    figure = new_figure(7.4, 6.4, title)
    axes = figure.add_subplot()
    axes.set_aspect("equal", adjustable="datalim")
    z, prior, axis_names = _plane(z, prior)
    axes.scatter(prior[:, 0], prior[:, 1], s=dot_area(len(prior)), color=PRIOR, linewidths=0)
    plot_points(axes, z, labels)
    axes.set(xlabel=axis_names[0], ylabel=axis_names[1])
    plot_legend(figure, axes, labels, names, mark("prior samples", PRIOR), on_white=False, ink=MUTED)
    return figure


def _plane(z: np.ndarray, prior: np.ndarray) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Codes and prior samples in the plane (N, 2), (M, 2), and the names of its axes."""
    if z.shape[1] == 2:
        return z, prior, ["$z_1$", "$z_2$"]
    center = z.mean(0)
    variance, axes = np.linalg.eigh((z - center).T @ (z - center))  # ascending
    share = variance[:-3:-1] / max(variance.sum(), np.finfo(float).tiny)
    names = [
        f"{which} principal axis of the codes ({part:.0%} of their variance)"
        for which, part in zip(("first", "second"), share, strict=True)
    ]
    plane = axes[:, :-3:-1]
    return (z - center) @ plane, (prior - center) @ plane, names


@styled
def _strips(
    z: np.ndarray, labels: np.ndarray | None, prior: np.ndarray, title: str, names: Sequence[str] | None
) -> Figure:
    """Plot one dimension: a row for the prior and one for each class, with dots spread at random across the row."""
    groups = [z] if labels is None else [z[labels == k] for k in range(labels.max() + 1)]
    row_names = ["codes"] if labels is None else called(len(groups), names)
    figure = new_figure(7.4, 1.6 + 0.42 * (len(groups) + 1), title)
    axes = figure.add_subplot()
    spread = np.random.default_rng(0)
    rows = zip([prior, *groups], [PRIOR, *class_colors(len(groups))], strict=True)
    for height, (values, color) in enumerate(rows):
        heights = height + spread.uniform(-0.33, 0.33, len(values))
        axes.scatter(values, heights, s=dot_area(len(z)), color=color, linewidths=0, alpha=0.85)
    axes.set_yticks(range(len(groups) + 1), ["prior samples", *row_names])
    axes.tick_params(axis="y", length=0)
    axes.invert_yaxis()
    axes.set_xlabel("$z$")
    axes.grid(axis="x")
    return figure


@styled
def codes_side_by_side(
    codes: Mapping[str, Array],
    labels: Array | None,
    prior_samples: Array,
    *,
    title: str,
    class_names: Sequence[str] | None = None,
) -> Figure:
    """The codes (N, 2) of the same rows for each model, colored by labels (N,), over the prior's samples (M, 2).

    Visible gray shows where the prior has mass but the model no codes. Every panel has the same limits. DataError
    without a model, for codes that are not in a plane, or not as many as labels.
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
        plot_points(panels[-1], z, found)
    plot_legend(figure, panels[across - 1], classes[0], class_names, mark("prior samples", PRIOR))
    return figure


def _limits(points: np.ndarray) -> np.ndarray:
    """A square that contains all points (N, 2), as its low and high corner (2, 2)."""
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
