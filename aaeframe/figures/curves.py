"""The course of training: losses, accuracy and mismatch by epoch."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from aaeframe.errors import DataError
from aaeframe.figures.canvas import MUTED, class_colors, new_figure, styled

Rows: TypeAlias = Sequence[Mapping[str, Any]]

DASHED: Final = (0, (4, 2))
DOTTED: Final = (0, (1, 2))
MARKED: Final = 30
"""Epochs up to which each is marked by a dot; the dot is all there is of a single one."""


class Curve(NamedTuple):
    """One metric."""

    key: str
    label: str
    color: str
    linestyle: Any = "-"


class Panel(NamedTuple):
    """Curves in the same units, and the values to hold them against."""

    title: str
    ylabel: str
    curves: list[Curve]
    references: dict[str, float]


CLASS_LOSSES: Final = {
    "classification": "labels",
    "virtual_adversarial": "virtual adversary",
    "mutual_information": "mutual information",
    "augmentation": "augmentation",
}
"""What each is called."""


@styled
def loss_curves(rows: Rows, *, title: str = "Training", informed: Collection[str] = (), loss: str = "bce") -> Figure:
    """The metrics of each epoch in panels; what no row holds is left out.

    Reconstruction: "reconstruction", "validation/reconstruction" and "mean_image_error". Adversary:
    "discriminator/<block>" and "generator/<block>" with their values at chance, 2 log 2 and log 2; twice that
    for the blocks of `informed`, whose discriminator is told labels and sees two groups of codes. A `loss` other than
    "bce" is not in nats and has no such values.
    "accuracy/<block>" with its chance of 0.5. "mismatch/<block>". "validation/error". "classification" and the
    label-free terms. "divergence/<block>" of a variational autoencoder. The horizontal axis is "epoch".
    DataError if there is nothing to draw.
    """
    keys = sorted({key for row in rows for key in row})
    panels = [panel for panel in _panels(keys, informed, loss) if panel.curves]
    if not panels:
        raise DataError(f"no metric to draw in {len(rows)} rows with the keys {keys}")
    across = min(2, len(panels))
    down = math.ceil(len(panels) / across)
    figure = new_figure(5.6 * across, 0.6 + 3.4 * down, title)
    for index, panel in enumerate(panels):
        _draw(figure.add_subplot(down, across, index + 1), panel, rows)
    return figure


def _panels(keys: Sequence[str], informed: Collection[str], loss: str) -> list[Panel]:
    prefixes = ("discriminator", "generator", "accuracy", "mismatch", "divergence")
    blocks = sorted({name for key in keys for prefix, _, name in [key.partition("/")] if prefix in prefixes})
    colors = dict(zip(blocks, class_colors(len(blocks)), strict=True))

    def curves(prefix: str, linestyle: Any = "-", role: str = "") -> list[Curve]:
        found = [block for block in blocks if f"{prefix}/{block}" in keys]
        return [Curve(f"{prefix}/{block}", f"{block}{role}", colors[block], linestyle) for block in found]

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
    """A panel of those of the named metrics that are there."""
    colors = class_colors(len(names))
    found = [Curve(key, label, color) for (key, label), color in zip(names.items(), colors, strict=True) if key in keys]
    return Panel(title, ylabel, found, {})


def _reconstruction(keys: Sequence[str]) -> Panel:
    color, other = class_colors(2)
    curves = [
        Curve("reconstruction", "training", color),
        Curve("validation/reconstruction", "validation", other),
        Curve("mean_image_error", "mean image", MUTED, DASHED),
    ]
    found = [curve for curve in curves if curve.key in keys]
    # The mean image's error alone says nothing of training.
    return Panel("Reconstruction", "half squared error per row", found if found != curves[2:] else [], {})


def _chance(curves: Sequence[Curve], informed: Collection[str]) -> dict[str, float]:
    """Where the losses stand when no discriminator can tell codes from prior samples."""
    values = {}
    for curve in curves:
        role, _, block = curve.key.partition("/")
        count = (2 if role == "discriminator" else 1) * (2 if block in informed else 1)
        values["chance: log 2" if count == 1 else f"chance: {count} log 2"] = count * math.log(2)
    return values


def _draw(axes: Axes, panel: Panel, rows: Rows) -> None:
    epochs = [row.get("epoch", index + 1) for index, row in enumerate(rows)]
    marker = "o" if len(rows) <= MARKED else ""
    axes.grid(axis="y")
    for label, value in panel.references.items():
        axes.axhline(value, color=MUTED, linewidth=1.1, linestyle=DOTTED)
        # On the left: a training that goes well ends on these lines, at the right.
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
    """What is missing or null is a gap in the curve."""
    return math.nan if value is None else float(value)
