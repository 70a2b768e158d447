"""Points in a plane in the colors of their classes, and the legend of the colors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from aaeframe.errors import DataError
from aaeframe.figures.canvas import INK, PALETTE, Array, as_array, class_colors, literal

LEGEND_CLASSES: Final = 18
"""The largest number of classes in a legend; more are shown by a color bar."""


def plane_points(points: Array, what: str) -> np.ndarray:
    """Points (N, 2), at least one and all finite, as float64; otherwise DataError with the name `what`."""
    found = as_array(points)
    if found.ndim != 2 or found.shape[1] != 2 or not len(found):
        raise DataError(f"{what} in a plane (N, 2) are needed, found {found.shape}")
    if not np.isfinite(found).all():
        raise DataError(f"{what} must be finite, found {np.sum(~np.isfinite(found))} values that are not")
    return found


def class_indices(labels: Array | None, count: int) -> np.ndarray | None:
    """Labels (count,) as integers; DataError for another number of labels or negative ones."""
    if labels is None:
        return None
    if tuple(labels.shape) != (count,):
        raise DataError(f"{count} points need {count} labels, found labels of shape {tuple(labels.shape)}")
    classes = as_array(labels).astype(int)
    if classes.min() < 0:
        raise DataError(f"labels are class indices from 0 on, found {classes.min()}")
    return classes


def called(count: int, names: Sequence[str] | None) -> list[str]:
    """The names of the first `count` classes; DataError if there are fewer names."""
    if names is None:
        return [f"class {k}" for k in range(count)]
    if len(names) < count:
        raise DataError(f"{count} classes are drawn, found {len(names)} class names: {', '.join(names)}")
    return [literal(name) for name in names[:count]]


def dot_area(count: int) -> float:
    """The area of a dot in square points; smaller for more dots."""
    return float(np.clip(12_000 / count, 3, 18))


def plot_points(axes: Axes, points: np.ndarray, labels: np.ndarray | None) -> None:
    """Plot points (N, 2) in the colors of their classes, in random order, so that no class covers the others."""
    order = np.random.default_rng(0).permutation(len(points))
    color = PALETTE[0] if labels is None else np.array(class_colors(labels.max() + 1))[labels[order]]
    axes.scatter(points[order, 0], points[order, 1], s=dot_area(len(points)), c=color, linewidths=0, alpha=0.85)


def mark(label: str, color: str) -> Line2D:
    """A legend entry for dots of one color."""
    return Line2D([], [], marker="o", markersize=7, linewidth=0, color=color, label=label)


def plot_legend(
    figure: Figure,
    axes: Axes,
    labels: np.ndarray | None,
    names: Sequence[str] | None,
    first: Line2D,
    *,
    on_white: bool = True,
    ink: str = INK,
) -> None:
    """Add a legend of the entry `first` and the colors next to these axes, or a color bar if there are many classes.

    With a color bar, the entry is inside the axes, on white or not, and the bar's label has the color `ink`. DataError
    if there are fewer names than classes.
    """
    count = 0 if labels is None else int(labels.max()) + 1
    known = called(count, names)
    if count <= LEGEND_CLASSES:
        entries = [("codes", PALETTE[0])] if labels is None else zip(known, class_colors(count), strict=True)
        handles = [first, *(mark(label, color) for label, color in entries)]
        axes.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.0, 1.02), handletextpad=0.3)
        return
    axes.legend(handles=[first], loc="upper right", handletextpad=0.3, frameon=on_white, edgecolor="none")
    scale = BoundaryNorm(np.arange(count + 1) - 0.5, count)
    bar = figure.colorbar(ScalarMappable(scale, ListedColormap(class_colors(count))), ax=figure.axes, shrink=0.7)
    bar.set_ticks(np.unique(np.linspace(0, count - 1, 8).round()).tolist())
    bar.minorticks_off()
    bar.set_label("class", color=ink)
