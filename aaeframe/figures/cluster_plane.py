"""The reduced representation W_C y + z: points by class, around the cluster heads (paper, section 7)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from aaeframe.errors import DataError
from aaeframe.figures.canvas import INK, Array, as_array, new_figure, styled
from aaeframe.figures.points import class_indices, plane_points, plot_legend, plot_points


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

    For more dimensions use `to_circle` first. DataError for points that are not in a plane, or not as many as labels.
    """
    points, centers = plane_points(representation, "representations"), plane_points(heads, "cluster heads")
    classes = class_indices(labels, len(points))
    figure = new_figure(7.4, 6.4, title)
    axes = figure.add_subplot()
    axes.set_aspect("equal", adjustable="datalim")
    plot_points(axes, points, classes)
    for index, (x, y) in enumerate(centers):
        # Disk and number have one z-order, so that a head drawn over another covers both.
        axes.plot(x, y, marker="o", markersize=14, color="white", markeredgecolor=INK, zorder=3, label=f"head {index}")
        axes.text(x, y, str(index), size=8, weight="bold", ha="center", va="center_baseline", zorder=3)
    axes.locator_params(nbins=8)
    axes.set(xlabel="first coordinate", ylabel="second coordinate")
    disk = Line2D([], [], marker="o", markersize=9, linewidth=0, color="white", markeredgecolor=INK)
    disk.set_label("cluster heads")
    plot_legend(figure, axes, classes, class_names, disk)
    return figure


def to_circle(heads: Array) -> Callable[[Array], np.ndarray]:
    """The affine map r A + b that sends m heads (m, n) to m equally spaced points of the unit circle (m, 2).

    H has the heads minus their mean as rows, T the points t_k = (cos 2πk/m, sin 2πk/m). A minimizes ‖H A − T‖². The
    gradient 2 Hᵀ(H A − T) is zero where Hᵀ H A = Hᵀ T. Among all solutions, A = H⁺ T with the pseudo-inverse H⁺ has the
    least norm. So directions orthogonal to all differences of heads do not move a point. b sends the mean of the heads
    to that of the points. The points are met exactly if no head is an affine combination of the others, which is
    possible up to m = n + 1. Otherwise they are met in the sense of least squares.

    With b = 0, up to m = n points could be met. But the affine hull of the heads may pass near 0. Then that map
    separates heads by their small distance from 0, and stretches the style in this direction without bound.

    DataError unless heads are finite and (m, n) with m and n at least 1.
    """
    h = as_array(heads)
    if h.ndim != 2 or not h.size or not np.isfinite(h).all():
        raise DataError(f"cluster heads (m, n), finite, with m and n at least 1, are needed; found shape {h.shape}")
    angle = 2 * np.pi * np.arange(len(h)) / len(h)
    points = np.stack([np.cos(angle), np.sin(angle)], 1)
    middle, center = h.mean(0), points.mean(0)
    # Rounding errors of the mean in h - middle are not directions: ignore all below 1e-9 of the largest.
    linear = np.linalg.lstsq(h - middle, points - center, rcond=1e-9)[0]
    return lambda r: (as_array(r) - middle) @ linear + center
