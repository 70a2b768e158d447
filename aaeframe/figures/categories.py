"""Codes of a categorical block: how often each category is used, by class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from matplotlib.figure import Figure

from aaeframe.figures.canvas import INK, MUTED, PALETTE, Array, as_array, literal, new_figure, styled

WRITTEN: Final = 400
"""The largest number of table cells that are annotated with their values."""


@styled
def categorical_block(
    codes: Array, labels: Array | None, *, title: str, class_names: Sequence[str] | None = None
) -> Figure:
    """Plot the mean code (N, K) on the simplex: a table with a row for each class, or bars without labels (N,)."""
    y = as_array(codes)
    if labels is None:
        return _bars(y.mean(0), title)
    classes = as_array(labels).astype(int)
    present = np.unique(classes)
    table = np.stack([y[classes == k].mean(0) for k in present])
    names = [f"class {k}" if class_names is None else literal(class_names[k]) for k in present]
    return _table(table, names, title)


def _bars(mean: np.ndarray, title: str) -> Figure:
    figure = new_figure(max(6.0, 2 + 0.25 * len(mean)), 4, title)
    axes = figure.add_subplot()
    axes.grid(axis="y")
    axes.bar(np.arange(len(mean)), mean, color=PALETTE[0], width=0.75)
    even = axes.axhline(1 / len(mean), color=MUTED, linestyle=(0, (4, 3)), linewidth=1.2, label="evenly used")
    axes.set(xlabel="category", ylabel="mean code", xticks=_every(len(mean)))
    axes.tick_params(axis="x", length=0)
    axes.legend(handles=[even], loc="upper left", bbox_to_anchor=(1.0, 1.02))
    return figure


def _table(table: np.ndarray, names: list[str], title: str) -> Figure:
    rows, columns = table.shape
    figure = new_figure(max(6.0, 2.6 + 0.48 * columns), max(3.4, 1.6 + 0.42 * rows), title)
    axes = figure.add_subplot()
    picture = axes.imshow(table, cmap="Blues", vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    axes.set(xlabel="category", xticks=_every(columns))
    axes.set_yticks(range(rows), names)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    if table.size <= WRITTEN:
        for (row, column), value in np.ndenumerate(table):
            if value >= 0.005:
                color = "white" if value > 0.6 else INK
                axes.text(column, row, f"{value:.2f}", ha="center", va="center", size=8, color=color)
    bar = figure.colorbar(picture, ax=axes, label="mean code", shrink=0.8)
    bar.outline.set_visible(False)
    return figure


def _every(count: int) -> np.ndarray:
    """Ticks on all categories, or evenly spaced ticks if there are many."""
    return np.arange(0, count, max(1, count // 20))
