"""The rule by which arrays become rows of tables, series, images and volumes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from aaeframe.data.dataset import row_type
from aaeframe.data.raw import Channels
from aaeframe.data.sources import SparseRows, StoredRows, View
from aaeframe.errors import DataError
from aaeframe.storage.text import plural

CHANNELS: Final = (1, 3, 4)
"""Numbers of channels by which the channel axis of an image or volume is recognized."""

FEW: Final = 4
"""The longest axis of an array that may be one of channels."""

OBLONG: Final = 8
"""The ratio of two lengths from which a 3-D array may be series of many channels, and is not taken for images."""


VIEWS: Final[Mapping[str, tuple[View, str]]] = {
    "none": (lambda x: x[:, None], "with a channel"),
    "last": (lambda x: np.moveaxis(x, -1, 1), "channels first"),
}
"""The functions that bring the axis of the channels next to that of the rows, and their names."""


def as_rows(x: Any, where: str, channels: Channels | None = None) -> Any:
    """A view of the array as (N, D) for a table, or as (N, C, ...) for all other data. A mapped file is not read.

    | given | `channels` | meaning |
    | --- | --- | --- |
    | (N, D) | | a table of D features, or series of one channel |
    | (N, H, W) | none | gray images, (N, 1, H, W) |
    | (N, C, T), (N, T, C) | first, last | series of C channels |
    | (N, C, H, W), (N, H, W, C) | first, last | images of C channels |
    | (N, D, H, W) | none | gray volumes, (N, 1, D, H, W) |
    | (N, C, D, H, W), (N, D, H, W, C) | first, last | volumes of C channels |

    Without `channels`, only arrays with one reading are accepted: see `found_channels`.

    Raises:
        DataError: the array is empty, is not numeric, has none of these shapes, or can be read in several ways.
    """
    if x.dtype.kind not in "buif":
        raise DataError(f"{where}: the data is of type {x.dtype}; it must be real numbers.")
    if not 2 <= x.ndim <= 5:
        raise DataError(_no_rows(x.shape, where))
    if x.size == 0:
        raise DataError(f"{where}: the data is empty: its shape is {x.shape}. Give at least one row and feature.")
    if x.ndim == 2:
        if channels in ("first", "last"):
            raise DataError(
                f"{where}: the data has the shape {x.shape}, a table without an axis of channels. "
                f"Leave data.channels={channels} out."
            )
        return x
    channels = channels or found_channels(x.shape, where)
    if channels == "none" and x.ndim == 5:
        raise DataError(
            f"{where}: the data has the shape {x.shape}. With data.channels=none the rows have four axes of space; at "
            "most three are known. Give data.channels=first or data.channels=last."
        )
    if channels == "first":
        return x
    view, how = VIEWS[channels]
    return x.viewed(view, how) if isinstance(x, StoredRows) else view(x)


def found_channels(shape: tuple[int, ...], where: str) -> Channels:
    """The axis of the channels in an array of three to five axes, if there is one reading.

    Three axes are gray images. They may be series if one length is `FEW` or less, or `OBLONG` times the other.
    Of more axes, the second or the last is the channels: the one that is 1, 3 or 4 long, if the other is longer than
    `FEW`.

    Raises:
        DataError: the shape can be read in several ways. The message lists them with the option that decides.
    """
    second, last = shape[1], shape[-1]
    if len(shape) == 3:
        if min(second, last) > FEW and max(second, last) < OBLONG * min(second, last):
            return "none"
    elif second in CHANNELS and last > FEW:
        return "first"
    elif last in CHANNELS and second > FEW:
        return "last"
    readings = "; ".join(f"data.channels={name} {meaning}" for name, meaning in _readings(shape).items())
    raise DataError(
        f"{where}: the data has the shape {shape}, and it cannot be told which axis is the channels. Give one of: "
        f"{readings}."
    )


def _readings(shape: tuple[int, ...]) -> dict[Channels, str]:
    def of(axes: tuple[int, ...]) -> str:
        return " x ".join(map(str, axes))

    things = {3: "series", 4: "images", 5: "volumes"}[len(shape)]
    lengths = {"first": shape[2:], "last": shape[1:-1]}
    counts = {"first": shape[1], "last": shape[-1]}
    whole = {3: "gray images", 4: "gray volumes"}
    readings: dict[Channels, str] = {}
    if len(shape) in whole:
        readings["none"] = f"reads {shape[0]} {whole[len(shape)]} of {of(shape[1:])}"
    for name in ("first", "last"):
        size = f"length {lengths[name][0]}" if len(shape) == 3 else of(lengths[name])
        readings[name] = f"reads {shape[0]} {things} of {size} with {plural(counts[name], 'channel')}"
    return readings


def _no_rows(shape: tuple[int, ...], where: str) -> str:
    hint = " One feature is `x.reshape(-1, 1)`." if len(shape) == 1 else ""
    return (
        f"{where}: the data has the shape {shape}. A table is (rows, features); series are (rows, channels, time); "
        "images are (rows, height, width), (rows, height, width, channels) or (rows, channels, height, width); "
        f"volumes have one axis more.{hint}"
    )


def settle(x: np.ndarray) -> np.ndarray:
    """Rows in memory as contiguous uint8, float32 or float64. Mapped, stored and sparse rows stay as they are."""
    return x if isinstance(x, np.memmap | SparseRows | StoredRows) else np.ascontiguousarray(x, dtype=row_type(x.dtype))
