"""The style shared by all figures, and saving them."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from textwrap import fill
from typing import Any, Final, ParamSpec, TypeAlias

import matplotlib
import numpy as np
from matplotlib import style
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from torch import Tensor

from aaeframe.storage.atomic import write_atomically
from aaeframe.storage.output import Output

Parameters = ParamSpec("Parameters")
Array: TypeAlias = "Tensor | np.ndarray"

PALETTE: Final = (
    "#2362c8", "#e38700", "#04c08e", "#cd3048", "#a57bb4",
    "#12b8fa", "#753700", "#55258b", "#202020", "#cdd402",
)  # fmt: skip
"""Ten colors that remain distinguishable with the common color blindnesses."""
INK: Final = "#262626"
MUTED: Final = "#6e6e6e"
PRIOR: Final = "#d4d4d4"
MINUS: Final = "\N{MINUS SIGN}"
TITLE_CHARACTERS: Final = 9
"""The number of title characters that fit in an inch."""

STYLE: Final[Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so it is always available
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.facecolor": "white",
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "axes.axisbelow": True,
    "figure.facecolor": "white",
    "figure.titlesize": 13,
    "grid.color": "#ebebeb",
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "image.interpolation": "antialiased",
}
WHOLE_STYLE: Final[Any] = ["default", STYLE]
"""The style above matplotlib's own defaults: a user's `image.origin` would turn images upside down."""


def styled(plot: Callable[Parameters, Figure]) -> Callable[Parameters, Figure]:
    """Draw in the shared style, independent of the user's matplotlib settings, which are restored afterwards."""

    @wraps(plot)
    def inside(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Figure:
        with style.context(WHOLE_STYLE):
            return plot(*args, **kwargs)

    return inside


def new_figure(width: float, height: float, title: str) -> Figure:
    """An empty figure of this size in inches, independent of pyplot, with a layout that keeps everything inside."""
    figure = Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1))
    FigureCanvasAgg(figure)
    figure.suptitle(fill(title, int(TITLE_CHARACTERS * width)), x=0.01, ha="left")
    return figure


def save(figure: Figure, to: Path | Output, *, dpi: int = 150) -> None:
    """Write a PNG, a file atomically, and leave the figure's resolution as it was; RunError if it cannot be written."""
    buffer = io.BytesIO()
    before = figure.dpi, figure.canvas
    try:
        figure.dpi = dpi
        canvas = figure.canvas if isinstance(figure.canvas, FigureCanvasAgg) else FigureCanvasAgg(figure)
        with style.context(WHOLE_STYLE):
            # It draws once, the layout included; `savefig` draws twice. Without the version of matplotlib in it,
            # equal figures are equal files.
            canvas.print_png(buffer, metadata={"Software": None})
    finally:  # the figure is the caller's
        figure.dpi, figure.canvas = before
    if isinstance(to, Output):
        with to.writing() as file:
            file.write(buffer.getvalue())
    else:
        write_atomically(to, buffer.getvalue())


def literal(name: str) -> str:
    """The name with dollar signs escaped: matplotlib would parse text between two of them as mathematics."""
    return name.replace("$", r"\$")


def class_colors(count: int) -> list[str]:
    """A color for each class: the palette up to 10, tab20 up to 18, then a continuous color map."""
    if count <= len(PALETTE):
        return list(PALETTE[:count])
    if count <= 18:
        pairs = np.delete(np.arange(20), (14, 15))  # gray is the color of the prior
        return [to_hex(color) for color in matplotlib.colormaps["tab20"](pairs[:count])]
    return [to_hex(color) for color in matplotlib.colormaps["turbo"](np.linspace(0.03, 0.97, count))]


def as_array(x: Array) -> np.ndarray:
    """Convert a tensor, on any device, or an array to a float64 array."""
    values = x.detach().cpu().numpy() if isinstance(x, Tensor) else x
    return np.asarray(values, dtype=np.float64)
