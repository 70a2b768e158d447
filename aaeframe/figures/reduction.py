"""The reduced representation W_C y + z: points by class, around the cluster heads (paper, section 7)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from aaeframe.errors import DataError
from aaeframe.figures.canvas import INK, PALETTE, Array, as_array, class_colors, new_figure, styled
from aaeframe.figures.codes import LEGEND_CLASSES


@styled
def reduced(
    representation: Array,
    labels: Array | None,
    heads: Array,
    *,
    title: str,
    class_names: Sequence[str] | None = None,
) -> Figure:
    """The representation W_C y + z (N, 2), colored by labels (N,), and the m cluster heads (m, 2), numbered.

    More dimensions come here by `to_circle`. DataError for points that are not of a plane, or not as many as
    labels.
    """
    points, centers = plane_points(representation, "representations"), plane_points(heads, "cluster heads")
    classes = class_indices(labels, len(points))
    figure = new_figure(7.4, 6.4, title)
    axes = figure.add_subplot()
    axes.set_aspect("equal", adjustable="datalim")
    draw_points(axes, points, classes)
    for index, (x, y) in enumerate(centers):
        # Disk and number on one level, so that a head near another covers both or neither.
        axes.plot(x, y, marker="o", markersize=14, color="white", markeredgecolor=INK, zorder=3, label=f"head {index}")
        axes.text(x, y, str(index), size=8, weight="bold", ha="center", va="center_baseline", zorder=3)
    axes.locator_params(nbins=8)
    axes.set(xlabel="first coordinate", ylabel="second coordinate")
    mark = Line2D([], [], marker="o", markersize=9, linewidth=0, color="white", markeredgecolor=INK)
    mark.set_label("cluster heads")
    draw_key(figure, axes, classes, class_names, mark)
    return figure


def to_circle(heads: Array) -> np.ndarray:
    """The linear map A (n, 2) that sends m heads (m, n) to m equally spaced points of the unit circle: heads @ A.

    With the heads as rows of H and the points t_k = (cos 2πk/m, sin 2πk/m) as rows of T, A minimizes
    ‖H A − T‖². Its gradient 2 Hᵀ(H A − T) is zero where Hᵀ H A = Hᵀ T. Of all solutions A = H⁺ T, with
    H⁺ the pseudo-inverse, has the least norm: its columns lie in the span of the heads, and what is orthogonal to all
    heads is mapped to 0. If the heads are linearly independent, as up to m = n they can be, H H⁺ = I and
    the points are met exactly; otherwise as nearly as least squares can. It is linear without an offset, so that
    representations W_C y + z go through it as the heads do: (y W_C + z) A. DataError unless heads are
    finite and (m, n) with m and n at least 1.
    """
    h = as_array(heads)
    if h.ndim != 2 or not h.size or not np.isfinite(h).all():
        raise DataError(f"cluster heads (m, n), finite, with m and n at least 1, are needed; found shape {h.shape}")
    angle = 2 * np.pi * np.arange(len(h)) / len(h)
    points = np.stack([np.cos(angle), np.sin(angle)], 1)
    return np.linalg.lstsq(h, points, rcond=None)[0]


def plane_points(points: Array, what: str) -> np.ndarray:
    """Points (N, 2), at least one and all finite, as float64; DataError, naming `what` they are, for any other."""
    found = as_array(points)
    if found.ndim != 2 or found.shape[1] != 2 or not len(found):
        raise DataError(f"{what} in a plane (N, 2) are needed, found {found.shape}")
    if not np.isfinite(found).all():
        raise DataError(f"{what} must be finite, found {np.sum(~np.isfinite(found))} values that are not")
    return found


def class_indices(labels: Array | None, count: int) -> np.ndarray | None:
    """Labels (count,) as integers; DataError for another number of them and for any below 0."""
    if labels is None:
        return None
    if tuple(labels.shape) != (count,):
        raise DataError(f"{count} points need {count} labels, found labels of shape {tuple(labels.shape)}")
    classes = as_array(labels).astype(int)
    if classes.min() < 0:
        raise DataError(f"labels are class indices from 0 on, found {classes.min()}")
    return classes


def draw_points(axes: Axes, points: np.ndarray, labels: np.ndarray | None) -> None:
    """Points (N, 2) in the colors of their classes, in random order, so that no class lies on top of the others."""
    order = np.random.default_rng(0).permutation(len(points))
    color = PALETTE[0] if labels is None else np.array(class_colors(labels.max() + 1))[labels[order]]
    area = float(np.clip(12_000 / len(points), 3, 18))
    axes.scatter(points[order, 0], points[order, 1], s=area, c=color, linewidths=0, alpha=0.85)


def draw_key(figure: Figure, axes: Axes, labels: np.ndarray | None, names: Sequence[str] | None, mark: Line2D) -> None:
    """What `mark` and the colors mean, beside these axes; many classes as a color bar beside all axes."""
    count = 0 if labels is None else int(labels.max()) + 1
    if names is not None and len(names) < count:
        raise DataError(f"{count} classes are drawn, found {len(names)} class names: {', '.join(names)}")
    entries = [("codes", PALETTE[0])] if labels is None else []
    if 0 < count <= LEGEND_CLASSES:
        called = [f"class {k}" for k in range(count)] if names is None else names[:count]
        entries = list(zip(called, class_colors(count), strict=True))
    handles = [Line2D([], [], marker="o", markersize=7, linewidth=0, color=c, label=name) for name, c in entries]
    if count <= LEGEND_CLASSES:
        axes.legend(handles=[mark, *handles], loc="upper left", bbox_to_anchor=(1.0, 1.02), handletextpad=0.3)
        return
    # On white, as the points may reach under it.
    axes.legend(handles=[mark], loc="upper right", handletextpad=0.3, frameon=True, edgecolor="none")
    scale = BoundaryNorm(np.arange(count + 1) - 0.5, count)
    bar = figure.colorbar(ScalarMappable(scale, ListedColormap(class_colors(count))), ax=figure.axes, shrink=0.7)
    bar.set_ticks(np.unique(np.linspace(0, count - 1, 8).round()).tolist())
    bar.minorticks_off()
    bar.set_label("class")
