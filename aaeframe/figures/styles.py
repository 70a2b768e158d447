"""Style and content: each style with every label (paper, section 4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from matplotlib.figure import Figure

from aaeframe.errors import DataError
from aaeframe.figures.canvas import MUTED, Array, literal, styled
from aaeframe.figures.images import WIDTH, decoded_plane

HEAD_CHARACTERS: Final = 10
"""The number of characters of a column's name that fit in an inch."""
LARGEST: Final = 1.3
"""The largest width of an image, in inches."""
HEIGHT: Final = 11.0
"""The largest height of a figure, in inches."""


@styled
def style_grid(images: Array, *, title: str, class_names: Sequence[str] | None = None) -> Figure:
    """Plot decoded images (rows, classes, C, H, W), each row one style code z with every label.

    Columns have the names of the classes, vertical if they are too long to fit horizontally. DataError if the images
    are not such a grid or there are more columns than names.
    """
    if not all(images.shape):
        raise DataError(f"a grid of images (rows, classes, C, H, W) is needed, found {tuple(images.shape)}")
    figure = decoded_plane(images, title=title)
    height, width = images.shape[-2:]
    rows, columns = images.shape[:2]
    names = [str(k) for k in range(columns)] if class_names is None else [literal(it) for it in class_names[:columns]]
    if len(names) < columns:
        raise DataError(f"{columns} labels are drawn, found {len(names)} class names: {', '.join(names)}")
    longest = max(map(len, names))
    upright = longest * columns > HEAD_CHARACTERS * WIDTH
    [axes] = figure.axes
    axes.xaxis.tick_top()
    middle = [column * (width + 1) + (width - 1) / 2 for column in range(columns)]
    axes.set_xticks(middle, names, rotation=90 if upright else 0, size=11)
    axes.set_ylabel("each row: one style code", color=MUTED)
    picture = min(WIDTH / columns, LARGEST) * rows * height / width
    figure.set_size_inches(WIDTH, min(HEIGHT, picture + (0.45 + longest / HEAD_CHARACTERS if upright else 0.68)))
    return figure
