"""Figures of tables: the columns that matter most, by name, so that they are readable at any number of columns."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from aaeframe.errors import DataError
from aaeframe.figures.canvas import INK, MINUS, MUTED, PALETTE, Array, as_array, literal, new_figure, styled

SHOWN: Final = 20
"""The number of columns with the largest errors that are shown."""
CORRELATED: Final = 24
"""The number of columns in a heat map."""
CODES: Final = 16
"""The number of code dimensions in a heat map."""
PANELS: Final = 9
"""The number of columns with a panel each."""
DOTS: Final = 500
"""The number of rows in a panel."""
NAME: Final = 34
"""The number of characters of a column's name; longer ones lose their middle."""
PANEL_NAME: Final = 26
WIDTH: Final = 8.4
NARROWEST: Final = 6.0
"""The least width of a heat map, in inches."""
MARGIN: Final = 4.2
"""The width next to the cells of a heat map, in inches."""
CELL: Final = 0.52
LETTER: Final = 0.1


def short(name: str, most: int = NAME) -> str:
    """A name for a figure; the middle of a long one is left out."""
    half = (most - 1) // 2
    return literal(name if len(name) <= most else f"{name[:half]}…{name[-half:]}")


@styled
def column_errors(errors: Array, names: Sequence[str], *, title: str = "Reconstruction error") -> Figure:
    """Plot the largest errors (D,) as bars by column.

    An error is the mean squared error over the variance of the column: at 1, the mean would do as well. Columns without
    a finite error, which are constant, are left out. DataError unless there is a name for each, and one to plot.
    """
    found = _named(errors, names)
    known = np.flatnonzero(np.isfinite(found))
    if not len(known):
        raise DataError("no column has a finite error; constant columns have none")
    chosen = known[np.argsort(-found[known], kind="stable")[:SHOWN]]
    of = f"the {len(chosen)} largest of {len(names)} columns" if len(chosen) < len(names) else "all columns"
    figure = new_figure(WIDTH, 1.5 + 0.27 * len(chosen), f"{title}: {of}")
    axes = figure.add_subplot()
    axes.barh(np.arange(len(chosen)), found[chosen], color=PALETTE[0], height=0.7)
    axes.axvline(1, color=MUTED, linestyle=(0, (4, 3)), linewidth=1.2)
    axes.annotate(
        "no better than the mean",
        (1, 1),
        (3, 2),
        xycoords=("data", "axes fraction"),
        textcoords="offset points",
        color=MUTED,
        size=9,
    )
    axes.set_yticks(np.arange(len(chosen)), [short(names[i]) for i in chosen])
    axes.set_ylim(len(chosen) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x")
    axes.set_xlim(0, 1.08 * max(1.0, float(found[chosen].max())))
    axes.set_xlabel("mean squared error / variance of the column")
    return figure


@styled
def correlations(
    found: Array,
    names: Sequence[str],
    codes: Sequence[str] | None = None,
    *,
    title: str = "Correlation of codes with columns",
) -> Figure:
    """Plot correlations (K, D) of code dimensions with columns as a heat map of the columns with the strongest ones.

    Each dimension contributes its strongest columns in turn. Columns are grouped by the dimension that they follow most
    closely. `codes` are the names of the dimensions, by default z_1, z_2 ... DataError unless there is a name for each.
    """
    r = np.nan_to_num(as_array(found))
    if r.ndim != 2 or r.shape[1] != len(names) or len(codes or r) != len(r) or not r.size:
        raise DataError(f"each row and column needs a name, found correlations {r.shape} and {len(names)} columns")
    strongest = np.sort(np.argsort(-np.abs(r).max(1), kind="stable")[:CODES])
    table = r[strongest]
    chosen = _in_turn(np.abs(table))
    # Rounded, so that the two columns of two classes, which mirror each other, are one group.
    strength = np.abs(table).round(3)
    order = sorted(chosen, key=lambda i: (strength[:, i].argmax(), -strength[:, i].max()))
    shown = table[:, order].T
    some = [f"{len(order)} of {len(names)} columns"] if len(order) < len(names) else []
    some += [f"{len(strongest)} of {len(r)} codes"] if len(strongest) < len(r) else []
    figure = new_figure(
        max(NARROWEST, MARGIN + CELL * len(strongest)),
        1.7 + 0.27 * len(order),
        ": ".join([title, ", ".join(some)] if some else [title]),
    )
    axes = figure.add_subplot()
    picture = axes.imshow(shown, cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto", interpolation="nearest")
    axes.set_yticks(range(len(order)), [short(names[i]) for i in order])
    ticks = [f"$z_{{{i + 1}}}$" if codes is None else short(codes[i], PANEL_NAME) for i in strongest]
    cell = max(CELL, (NARROWEST - MARGIN) / len(ticks))
    upright = codes is not None and max(map(len, ticks)) * LETTER > cell
    axes.set_xticks(range(len(ticks)), ticks, rotation=90 if upright else 0)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    for (row, column), value in np.ndenumerate(shown):
        ink = "white" if abs(value) > 0.6 else INK
        axes.text(
            column,
            row,
            f"{round(value, 2) + 0.0:.2f}".replace("-", MINUS),
            ha="center",
            va="center",
            size=7.5,
            color=ink,
        )
    bar = figure.colorbar(picture, ax=axes, label="correlation", shrink=0.8)
    bar.outline.set_visible(False)
    return figure


def _in_turn(strength: np.ndarray) -> list[int]:
    """The columns of (K, D) to show: the strongest of each row, then the second of each, up to `CORRELATED`."""
    ranked = np.argsort(-strength, axis=1, kind="stable")
    return list(dict.fromkeys(ranked.T.flatten().tolist()))[:CORRELATED]


@styled
def column_reconstructions(
    x: Array, x_hat: Array, errors: Array, names: Sequence[str], *, title: str = "Reconstructions"
) -> Figure:
    """Plot reconstructions x_hat over originals x (N, D), a panel a column, by falling error (D,)."""
    rows, decoded, found = as_array(x), as_array(x_hat), _named(errors, names)
    if rows.shape != decoded.shape:
        raise DataError(f"originals {rows.shape} and reconstructions {decoded.shape} differ in shape")

    def draw(axes: Axes, column: int) -> None:
        pair = rows[:DOTS, column], decoded[:DOTS, column]
        low, high = np.min(pair), np.max(pair)
        room = 0.05 * (high - low) or 1.0
        axes.plot([low, high], [low, high], color=MUTED, linewidth=1, zorder=1)
        axes.set(xlim=(low - room, high + room), ylim=(low - room, high + room))
        axes.scatter(*pair, s=9, color=PALETTE[0], alpha=0.6, linewidths=0, zorder=2)

    figure = _panels(found, names, f"{title}", "error", draw)
    figure.supxlabel("original", size=10, color=INK)
    figure.supylabel("reconstruction", size=10, color=INK)
    return figure


@styled
def column_samples(
    x: Array, samples: Array, names: Sequence[str], *, title: str = "Decoded samples of the prior"
) -> Figure:
    """Plot the distributions of rows x (N, D) and decoded samples (M, D), a panel a column.

    Columns go from the largest difference to the least. The difference is the Wasserstein distance in standard
    deviations of the column.
    """
    rows, drawn = as_array(x), as_array(samples)
    if rows.shape[1:] != drawn.shape[1:]:
        raise DataError(f"rows {rows.shape} and samples {drawn.shape} differ in their columns")
    levels = np.linspace(0, 1, 101)
    gap = np.abs(np.quantile(rows, levels, axis=0) - np.quantile(drawn, levels, axis=0)).mean(0)
    spread = rows.std(0)
    found = np.divide(gap, spread, out=np.full(len(spread), np.nan), where=spread > 0)

    count = int(np.clip(1.5 * math.sqrt(len(rows)), 8, 30))

    def draw(axes: Axes, column: int) -> None:
        both = np.concatenate([rows[:, column], drawn[:, column]])
        low, high = np.quantile(both, [0.005, 0.995])
        high = high if high > low else low + 1
        bins = np.linspace(low, high, count + 1).tolist()
        data, samples = (np.clip(it[:, column], low, high) for it in (rows, drawn))  # so that none lies outside
        axes.hist(data, bins, density=True, color="#c4c4c4", label="data")
        axes.hist(samples, bins, density=True, histtype="step", color=PALETTE[0], linewidth=1.6, label="samples")
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)

    figure = _panels(found, names, title, "difference", draw)
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower right", ncols=2)
    return figure


def _named(values: Array, names: Sequence[str]) -> np.ndarray:
    found = as_array(values)
    if found.shape != (len(names),):
        raise DataError(f"each column needs a name and an error, found {len(names)} names and errors {found.shape}")
    return found


def _panels(
    values: np.ndarray, names: Sequence[str], title: str, measure: str, draw: Callable[[Axes, int], None]
) -> Figure:
    """A panel for each of a few columns, evenly spread over the ranks of these values (D,)."""
    ranked = np.argsort(-np.nan_to_num(values, nan=-np.inf), kind="stable")
    chosen = ranked[np.unique(np.linspace(0, len(ranked) - 1, PANELS).round().astype(int))]
    across = min(3, len(chosen))
    down = math.ceil(len(chosen) / across)
    order = f", from the largest {measure} to the smallest" if len(chosen) > 1 else ""
    some = f": {len(chosen)} of {len(names)} columns" if len(chosen) < len(names) else ""
    figure = new_figure(max(5.0, 2.8 * across), 1.1 + 2.3 * down, f"{title}{some}{order}")
    for place, column in enumerate(chosen):
        axes = figure.add_subplot(down, across, place + 1)
        draw(axes, int(column))
        axes.locator_params(axis="x", nbins=4)
        value = values[column]
        axes.set_title(short(names[column], PANEL_NAME), size=9.5, pad=16)
        text = f"{measure} {value:.2f}" if np.isfinite(value) else "constant"
        axes.text(0, 1.03, text, transform=axes.transAxes, size=8.5, color=MUTED)
        axes.tick_params(labelsize=8.5)
        axes.xaxis.get_offset_text().set_fontsize(8)
        axes.yaxis.get_offset_text().set_fontsize(8)
    return figure
