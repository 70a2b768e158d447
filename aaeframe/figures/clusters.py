"""Clusters as pictures: each head next to the images assigned to it (paper, section 6, figure 9)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from aaeframe.errors import DataError
from aaeframe.figures.canvas import INK, MUTED, PALETTE, Array, as_array, literal, new_figure, styled
from aaeframe.figures.images import pixels, tile

ROWS: Final = 10
"""The number of clusters in a panel before a second and a third panel are used."""
WIDTHS: Final = (8.4, 10.8, 13.2)
"""The widths of figures with one, two and three panels, in inches; wider only if images would be too small."""
LARGEST: Final = 0.72
SMALLEST: Final = 0.29
"""The largest and the smallest size of an image in inches: two lines of text must fit next to it."""
CHARACTER: Final = 0.085
"""The width of a character of a cluster's name, in inches."""
NUMBER: Final = 0.6
"""The width of a cluster's number with its word, in inches."""


@styled
def cluster_heads(
    heads: Array, members: Array, present: Array, *, title: str, names: Sequence[str] | None = None
) -> Figure:
    """Plot heads decode(one-hot y, z = 0) (K, C, H, W), each framed to the left of the images assigned to it.

    `present` (K, M) says which members (K, M, C, H, W) exist; a cluster without members is marked. `names` are the
    names of the K clusters, empty for a cluster without a name. Pixels are in [0, 1]. More than ten clusters use two or
    three panels. DataError for shapes that do not fit together and for pixels out of range.
    """
    grid, shown = _grid(heads, members, present)
    panels = min(len(WIDTHS), math.ceil(len(grid) / ROWS))
    rows = math.ceil(len(grid) / panels)
    called = [""] * len(grid) if names is None else list(names)
    if len(called) != len(grid):
        raise DataError(f"{len(grid)} clusters are drawn, found {len(called)} names: {', '.join(called)}")
    figure = _figure(grid.shape, rows, panels, max(map(len, called)), title)
    for index, axes in enumerate(figure.subplots(1, panels, squeeze=False)[0]):
        part = slice(index * rows, (index + 1) * rows)
        _panel(axes, grid[part], shown[part], rows)
        _name(axes, grid.shape, part.start, [literal(it) for it in called[part]])
    return figure


def _grid(heads: Array, members: Array, present: Array) -> tuple[np.ndarray, np.ndarray]:
    """Head and members of each cluster (K, 1 + M, H, W, 3 or 4), white where there is none, and `present`."""
    fits = heads.ndim == 4 and members.ndim == 5 and tuple(present.shape) == tuple(members.shape[:2])
    if not fits or (*members.shape[:1], *members.shape[2:]) != tuple(heads.shape) or not all(members.shape):
        raise DataError(
            "cluster heads (K, C, H, W) need members (K, M, C, H, W) and present (K, M), K and M at least 1. "
            f"Found {tuple(heads.shape)}, {tuple(members.shape)} and {tuple(present.shape)}"
        )
    shown = as_array(present).astype(bool)
    images = as_array(members).copy()
    images[~shown] = 1
    grid = np.concatenate([as_array(heads)[:, None], images], 1)
    if not (grid.min() >= 0 and grid.max() <= 1):
        raise DataError(f"images for a figure have pixels in [0, 1], found {grid.min():.3g} to {grid.max():.3g}")
    drawn = pixels(grid.reshape(-1, *grid.shape[2:]))
    return drawn.reshape(*grid.shape[:2], *drawn.shape[1:]), shown


def _gap(shape: tuple[int, ...]) -> int:
    """The pixels between neighbors in a grid (K, 1 + M, H, W, c)."""
    return max(1, shape[2] // 9)


def _space(shape: tuple[int, ...]) -> int:
    """The pixels between a head and its members."""
    return max(3, round(0.45 * shape[3]))


def _figure(shape: tuple[int, ...], rows: int, panels: int, longest: int, title: str) -> Figure:
    """An empty figure in which images are as large as its width permits."""
    _, columns, height, width, _ = shape
    gap = _gap(shape)
    across = (columns * (width + gap) + _space(shape)) / width
    beside = 0.35 + max(NUMBER, CHARACTER * longest)
    image = max(SMALLEST * max(1, width / height), min(LARGEST, (WIDTHS[panels - 1] / panels - beside) / across))
    return new_figure(max(5.0, panels * (across * image + beside)), rows * (height + gap) / width * image + 0.95, title)


def _panel(axes: Axes, grid: np.ndarray, shown: np.ndarray, rows: int) -> None:
    """Plot the clusters of one panel, a row each; `rows` is the number of rows of the fullest panel."""
    gap, (height, width) = _gap(grid.shape), grid.shape[2:4]
    picture = tile(grid, gap)
    apart = np.ones((len(picture), _space(grid.shape), picture.shape[2]))
    picture = np.concatenate([picture[:, :width], apart, picture[:, width + gap :]], 1)
    axes.imshow(picture)
    axes.set(xticks=[], yticks=[], ylim=(rows * (height + gap) - gap - 0.5, -0.5))
    axes.spines[:].set_visible(False)
    members = width + _space(grid.shape)
    for row, found in enumerate(shown):
        top = row * (height + gap) - 0.5
        corner = (-0.5, top)
        axes.add_patch(Rectangle(corner, width, height, fill=False, edgecolor=PALETTE[1], linewidth=1.5, clip_on=False))
        if not found.any():
            axes.text(members, top + height / 2, "no image", color=MUTED, size=9, va="center")
    for left, what in ((0, "head"), (members, "images assigned to it")):
        axes.annotate(what, (left - 0.5, -0.5), (0, 5), textcoords="offset points", color=MUTED, size=9)


def _name(axes: Axes, shape: tuple[int, ...], first: int, names: Sequence[str]) -> None:
    """Write the name of each cluster to the left of its row, and its number in small type below."""
    written = [(-0.5, 5.0, "named", "baseline", 9.0, MUTED)] if any(names) else []
    for row, name in enumerate(names):
        middle = row * (shape[2] + _gap(shape)) + (shape[2] - 1) / 2
        if name:
            written.append((middle, 0.0, name, "bottom", 11.0, INK))
        where, size = ("top", 7.5) if name else ("center", 9.0)
        written.append((middle, 0.0, f"cluster {first + row}", where, size, MUTED))
    for y, up, line, where, size, color in written:
        axes.annotate(
            line, (-0.5, y), (-6, up), textcoords="offset points", ha="right", va=where, size=size, color=color
        )
