"""The course of training: losses, accuracy and mismatch by epoch."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from textwrap import fill
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator, StrMethodFormatter

from aaeframe.errors import DataError
from aaeframe.figures.canvas import MUTED, Array, as_array, class_colors, literal, new_figure, styled

MetricsRows: TypeAlias = Sequence[Mapping[str, Any]]

DASHED: Final = (0, (4, 2))
DOTTED: Final = (0, (1, 2))
MARKED: Final = 30
"""The largest number of epochs that are marked by dots; a single epoch is only visible as a dot."""


class MetricLine(NamedTuple):
    """One metric and its line."""

    key: str
    label: str
    color: str
    linestyle: Any = "-"


class Panel(NamedTuple):
    """Curves in the same units, and horizontal reference lines."""

    title: str
    ylabel: str
    curves: list[MetricLine]
    references: dict[str, float]


CLASS_LOSSES: Final = {
    "classification": "labels",
    "virtual_adversarial": "virtual adversary",
    "mutual_information": "mutual information",
    "augmentation": "augmentation",
}
"""The names of the losses in the legend."""


@styled
def loss_curves(
    rows: MetricsRows, *, title: str = "Training", informed: Collection[str] = (), loss: str = "bce"
) -> Figure:
    """Plot the metrics of each epoch in panels; panels without data are left out.

    - Reconstruction: "reconstruction", "validation/reconstruction" and "mean_image_error".
    - Adversary: "discriminator/<block>" and "generator/<block>", with their values at chance, 2 log 2 and log 2. These
      are doubled for the blocks of `informed`, whose discriminator takes labels and sees two groups of codes. A `loss`
      other than "bce" is not in nats and has no values at chance.
    - "accuracy/<block>" with its chance of 0.5, "mismatch/<block>", "validation/error".
    - "classification" and the label-free terms, and "divergence/<block>" of a variational autoencoder.

    The horizontal axis is "epoch". DataError if there is nothing to plot.
    """
    keys = sorted({key for row in rows for key in row})
    panels = [panel for panel in metric_panels(keys, informed, loss) if panel.curves]
    if not panels:
        raise DataError(f"no metric to draw in {len(rows)} rows with the keys {keys}")
    across = min(2, len(panels))
    down = math.ceil(len(panels) / across)
    figure = new_figure(5.6 * across, 0.6 + 3.4 * down, title)
    for index, panel in enumerate(panels):
        _plot_panel(figure.add_subplot(down, across, index + 1), panel, rows)
    return figure


def metric_panels(keys: Sequence[str], informed: Collection[str] = (), loss: str = "bce") -> list[Panel]:
    """The panels of `loss_curves` for metrics of these keys; those without curves are empty."""
    prefixes = ("discriminator", "generator", "accuracy", "mismatch", "divergence")
    blocks = sorted({name for key in keys for prefix, _, name in [key.partition("/")] if prefix in prefixes})
    colors = dict(zip(blocks, class_colors(len(blocks)), strict=True))

    def curves(prefix: str, linestyle: Any = "-", role: str = "") -> list[MetricLine]:
        found = [block for block in blocks if f"{prefix}/{block}" in keys]
        return [MetricLine(f"{prefix}/{block}", f"{block}{role}", colors[block], linestyle) for block in found]

    adversary = curves("discriminator", "-", ": discriminator") + curves("generator", DASHED, ": generator")
    return [
        _reconstruction(keys),
        Panel("Adversarial losses", "nats", adversary, _chance(adversary, informed))
        if loss == "bce"
        else Panel(f"Adversarial losses, {loss}", "loss", adversary, {}),
        Panel("Discriminator accuracy", "accuracy", curves("accuracy"), {"chance": 0.5}),
        Panel("Divergence of posterior and prior", "nats", curves("divergence"), {}),
        Panel("Mismatch of codes and prior", "mismatch", curves("mismatch"), {}),
        _named("Wrong classes", "share of validation rows", {"validation/error": "validation"}, keys),
        _named("Losses of the class", "nats, weighted", CLASS_LOSSES, keys),
    ]


def _named(title: str, ylabel: str, names: Mapping[str, str], keys: Sequence[str]) -> Panel:
    """A panel of the named metrics that exist."""
    colors = class_colors(len(names))
    found = [
        MetricLine(key, label, color) for (key, label), color in zip(names.items(), colors, strict=True) if key in keys
    ]
    return Panel(title, ylabel, found, {})


def _reconstruction(keys: Sequence[str]) -> Panel:
    color, other = class_colors(2)
    curves = [
        MetricLine("reconstruction", "training", color),
        MetricLine("validation/reconstruction", "validation", other),
        MetricLine("mean_image_error", "mean row", MUTED, DASHED),
    ]
    found = [curve for curve in curves if curve.key in keys]
    # The mean row's error alone is no information about training.
    return Panel("Reconstruction", "half squared error per row", found if found != curves[2:] else [], {})


def _chance(curves: Sequence[MetricLine], informed: Collection[str]) -> dict[str, float]:
    """The losses at chance, where no discriminator can distinguish codes from prior samples."""
    values = {}
    for curve in curves:
        role, _, block = curve.key.partition("/")
        count = (2 if role == "discriminator" else 1) * (2 if block in informed else 1)
        values["chance: log 2" if count == 1 else f"chance: {count} log 2"] = count * math.log(2)
    return values


def _plot_panel(axes: Axes, panel: Panel, rows: MetricsRows) -> None:
    epochs = [row.get("epoch", index + 1) for index, row in enumerate(rows)]
    marker = "o" if len(rows) <= MARKED else ""
    axes.grid(axis="y")
    for label, value in panel.references.items():
        axes.axhline(value, color=MUTED, linewidth=1.1, linestyle=DOTTED)
        # On the left, because curves of a good training end on these lines at the right.
        axes.annotate(
            label, (0, value), (3, 2), xycoords=("axes fraction", "data"), textcoords="offset points",
            ha="left", va="bottom", size=8, color=MUTED,
        )  # fmt: skip
    for curve in panel.curves:
        style = {"color": curve.color, "linestyle": curve.linestyle, "marker": marker, "markersize": 3.5}
        values = [_number(row.get(curve.key)) for row in rows]
        axes.plot(epochs, values, label=curve.label, **style)
    axes.set(title=panel.title, xlabel="epoch", ylabel=panel.ylabel)
    axes.xaxis.set_major_locator(MaxNLocator(8, steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))
    pad = max(0.5, 0.03 * (epochs[-1] - epochs[0]))
    axes.set_xlim(epochs[0] - pad, epochs[-1] + pad)
    axes.margins(y=0.1)
    if panel.title == "Discriminator accuracy":
        axes.set_ylim(0, 1.03)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=3 if len(panel.curves) == 3 else 2, fontsize=9)


def _number(value: Any) -> float:
    """The value as a number; missing and null values are gaps in the curve."""
    return math.nan if value is None else float(value)


ACROSS: Final = 3
"""The largest number of panels in a row."""


PANEL: Final = 4.2
"""The size of a panel, in inches."""


SMALL_PANEL: Final = 3.6
"""The width of a panel of learning curves, in inches."""


WIDE_RANGE: Final = 10.0
"""The ratio of the largest to the smallest value from which an axis is logarithmic."""


class Course(NamedTuple):
    """The learning curves of the runs of one experiment."""

    runs: Mapping[str, Sequence[tuple[Array, Array]]]
    """The (x, y) of each run, both (N,), by the name of a group of runs."""
    reference: tuple[str, float] | None = None
    """The name and the value of a horizontal reference line."""


@styled
def learning_curves(courses: Mapping[str, Course], *, title: str, ylabel: str) -> Figure:
    """A panel for each experiment that has runs, with a line for each run by epoch.

    Groups of runs with one name have one color in all panels. A vertical axis is logarithmic if the values are positive
    and span a factor of ten. Values that are not finite are gaps. DataError if there is no run, or one has nothing to
    plot.
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
        _plot_course(axes, runs, colors, courses[experiment].reference)
        wrapped = fill(literal(experiment), int(9 * SMALL_PANEL))
        axes.set(title=wrapped, xlabel="epoch", ylabel="" if index % across else ylabel)
        keys |= {key: artist for artist, key in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(keys.values(), keys, loc="outside lower left", ncols=across, fontsize=9)
    return figure


def _plot_course(
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
    """Use a logarithmic axis with plain numbers for a wide range; otherwise begin at 0 if no value is negative."""
    low, high = values.min(), values.max()
    if low > 0 and high >= WIDE_RANGE * low:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    elif low >= 0:
        axes.set_ylim(bottom=0)
