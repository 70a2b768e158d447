"""Rows of data as pictures: reconstructions, samples and the decoded plane.

Images are (C, H, W) with values in [0, 1], or uint8 in [0, 255]. One channel is gray, three are red, green and blue,
four also have opacity; any other number is shown as its mean. Volumes (C, D, H, W) are shown by their middle slice.
Other rows are plotted as lines over their features, and series (C, T) channel after channel.
"""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from aaeframe.errors import DataError
from aaeframe.figures.canvas import INK, MINUS, PALETTE, Array, as_array, new_figure, styled

IMAGES_ACROSS = 12
BANDS = 4
"""The number of bands of originals over reconstructions."""
GRID = 10
LINES = 6
"""The number of rows in one figure that are plotted as lines."""
TICKS = 8
"""The largest number of coordinates on an axis of the decoded plane."""
VOLUMES = 5
"""The axes of volumes (N, C, D, H, W)."""
WIDTH = 8.4
"""The width of figures of images, in inches."""


@styled
def reconstructions(x: Array, x_hat: Array, *, title: str = "Reconstructions") -> Figure:
    """Plot originals x (N, *shape), each over its reconstruction x_hat (N, *shape); the first ones that fit."""
    if x.shape != x_hat.shape:
        raise DataError(f"originals {tuple(x.shape)} and reconstructions {tuple(x_hat.shape)} differ in shape")
    if x.ndim == VOLUMES:
        return reconstructions(_slices(x), _slices(x_hat), title=f"{title}, middle slices")
    if x.ndim != 4:
        return _lines(title, original=as_array(x), reconstruction=as_array(x_hat))
    originals, decoded = pixels(x), pixels(x_hat)
    across = min(IMAGES_ACROSS, len(originals))
    bands = min(BANDS, len(originals) // across)
    pairs = np.stack(
        [part[: bands * across].reshape(bands, across, *part.shape[1:]) for part in (originals, decoded)], 1
    )
    gap = _gap(pairs.shape[-3])
    strips = [tile(pair, gap) for pair in pairs]
    between = np.ones((3 * gap, *strips[0].shape[1:]))
    picture = np.concatenate([part for strip in strips for part in (strip, between)][:-1])
    figure, axes = _picture(picture, title, space=1.2)
    middle = np.arange(2) * (pairs.shape[-3] + gap) + pairs.shape[-3] / 2
    step = len(strips[0]) + len(between)
    ticks = np.concatenate([band * step + middle for band in range(bands)])
    axes.set_yticks(ticks, ["original", "reconstruction"] * bands)
    return figure


@styled
def samples(x: Array, *, title: str = "Decoded samples of the prior") -> Figure:
    """Plot decoded prior samples x (N, *shape): the first ones that fill a square, or a few as lines."""
    if x.ndim == VOLUMES:
        return samples(_slices(x), title=f"{title}, middle slices")
    if x.ndim != 4:
        return _lines(title, sample=as_array(x))
    shown = pixels(x)
    height, width = shown.shape[1:3]
    across = min(GRID, math.isqrt(len(shown)))
    down = min(len(shown) // across, max(1, round(across * width / height)))
    grid = shown[: down * across].reshape(down, across, *shown.shape[1:])
    return _picture(tile(grid, _gap(height)), title)[0]


@styled
def decoded_plane(images: Array, *, title: str, codes: Array | None = None) -> Figure:
    """Plot the decoded codes of `plane_codes` (rows, columns, C, H, W) as a grid, the first row on top.

    The axes have the coordinates of the codes (rows, columns, 2), if these are given.
    """
    if images.ndim != 5:
        raise DataError(f"a grid of images (rows, columns, C, H, W) is needed, found {tuple(images.shape)}")
    rows, columns = images.shape[:2]
    shown = pixels(images.reshape(rows * columns, *images.shape[2:]))
    space = 0.2 if codes is None else 0.8
    figure, axes = _picture(tile(shown.reshape(rows, columns, *shown.shape[1:]), 1), title, space=space)
    if codes is not None:
        z = as_array(codes)
        if z.shape != (rows, columns, 2):
            raise DataError(f"{rows} x {columns} images have codes ({rows}, {columns}, 2), found {z.shape}")
        height, width = shown.shape[1:3]
        across, down = _ticks(columns), _ticks(rows)
        axes.set_xticks(across * (width + 1) + (width - 1) / 2, _coordinates(z[0, across, 0]))
        axes.set_yticks(down * (height + 1) + (height - 1) / 2, _coordinates(z[down, 0, 1]))
        axes.set(xlabel="$z_1$", ylabel="$z_2$")
        figure.set_size_inches(WIDTH, figure.get_figheight() + 0.5)
    return figure


def _ticks(count: int) -> np.ndarray:
    """The places of at most `TICKS` evenly spaced images."""
    step = math.ceil(count / TICKS)
    return np.arange((count - 1) % step // 2, count, step)


def _coordinates(values: np.ndarray) -> list[str]:
    """Coordinates with as many digits as tell neighbors apart."""
    step = np.abs(np.diff(values)).min() if len(values) > 1 else 1.0
    digits = max(0, math.ceil(-math.log10(step / 2))) if step > 0 else 2
    return [f"{value:.{digits}f}".replace("-", MINUS) for value in values.round(digits) + 0.0]


def _slices(volumes: Array) -> Array:
    """The middle slice of each volume: (N, C, H, W) of (N, C, D, H, W)."""
    return volumes[:, :, volumes.shape[2] // 2]


def pixels(images: Array) -> np.ndarray:
    """Convert (N, C, H, W) to (N, H, W, 3 or 4) in [0, 1]."""
    whole = images.dtype == (np.uint8 if isinstance(images, np.ndarray) else Tensor([]).byte().dtype)
    values = np.clip(as_array(images) / (255 if whole else 1), 0, 1)
    if values.shape[1] not in (3, 4):
        values = values.mean(1, keepdims=True).repeat(3, axis=1)
    return np.moveaxis(values, 1, -1)


def tile(grid: np.ndarray, gap: int) -> np.ndarray:
    """A grid (R, K, H, W, c) as one picture, with `gap` white pixels, 1 or more, between neighbors."""
    rows, columns, height, width, channels = grid.shape
    padded = np.pad(grid, [(0, 0), (0, 0), (0, gap), (0, gap), (0, 0)], constant_values=1)
    picture = padded.swapaxes(1, 2).reshape(rows * (height + gap), columns * (width + gap), channels)
    return picture[:-gap, :-gap]


def _gap(height: int) -> int:
    """The pixels between neighbors, for images of this height."""
    return max(1, height // 12)


def _picture(picture: np.ndarray, title: str, *, space: float = 0.2) -> tuple[Figure, Axes]:
    """Plot one picture without axes, in a figure of its proportions with `space` inches for names on its left."""
    height, width = picture.shape[:2]
    figure = new_figure(WIDTH, (WIDTH - space) * height / width + 0.6, title)
    axes = figure.add_subplot()
    axes.imshow(picture)
    axes.set(xticks=[], yticks=[])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return figure, axes


def _lines(title: str, **series: np.ndarray) -> Figure:
    """Plot the first rows of tables, each (N, *shape), one plot a row, with the series of a row together."""
    tables = {name: values.reshape(len(values), -1) for name, values in series.items()}
    count = min(LINES, *(len(values) for values in tables.values()))
    figure = new_figure(WIDTH, 1.2 + 1.7 * math.ceil(count / 2), title)
    grid = figure.subplots(math.ceil(count / 2), min(2, count), sharex=True, sharey=True, squeeze=False)
    styles = [{"color": INK}] if len(tables) == 1 else [{"color": INK}, {"color": PALETTE[1], "linestyle": "--"}]
    for row, axes in enumerate(grid.flat):
        axes.grid(axis="y")
        axes.set_visible(row < count)
        for (name, values), style in zip(tables.items(), styles, strict=True):
            axes.plot(values[min(row, count - 1)], label=name, marker="o", markersize=2.5, **style)
    for axes in grid[-1]:
        axes.set_xlabel("feature" if next(iter(series.values())).ndim < 3 else "time, channel after channel")
    if len(tables) > 1:
        figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside lower right", ncols=len(tables))
    return figure
