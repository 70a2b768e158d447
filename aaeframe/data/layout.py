"""The rule by which arrays become rows of images or of a table."""

from __future__ import annotations

from typing import Final

import numpy as np

from aaeframe.data.dataset import row_type
from aaeframe.data.raw import Channels
from aaeframe.errors import DataError

CHANNELS: Final = (1, 3, 4)
"""Numbers of channels by which the channel axis of an image array is recognized."""


def as_rows(x: np.ndarray, where: str, channels: Channels | None = None) -> np.ndarray:
    """A view of the array as (N, D) for a table or (N, C, H, W) for images; a mapped file is not read.

    | given | meaning |
    | --- | --- |
    | (N, D) | a table of D features |
    | (N, H, W) | gray images, (N, 1, H, W) |
    | (N, H, W, C), C in 1, 3, 4 | images, channels last; moved to (N, C, H, W) |
    | (N, C, H, W), C in 1, 3, 4 | images, channels first |

    If both the last and the second axis could be channels, the last one is used.

    Raises:
        DataError: the array is empty, is not numeric, or has none of these shapes.
    """
    if x.dtype.kind not in "buif":
        raise DataError(f"{where}: the data is of type {x.dtype}; it must be real numbers.")
    if x.ndim not in (2, 3, 4):
        raise DataError(
            f"{where}: the data has the shape {x.shape}. A table is (rows, features); images are "
            "(rows, height, width), (rows, height, width, channels) or (rows, channels, height, width)."
        )
    if x.size == 0:
        raise DataError(f"{where}: the data is empty: its shape is {x.shape}. Give at least one row and feature.")
    if x.ndim == 4:
        return _channels_first(x, where)
    return x if x.ndim == 2 else x[:, None]


def _channels_first(x: np.ndarray, where: str) -> np.ndarray:
    if x.shape[-1] in CHANNELS:
        return np.moveaxis(x, -1, 1)
    if x.shape[1] in CHANNELS:
        return x
    raise DataError(
        f"{where}: images of the shape {x.shape} have no channel axis: neither the last nor the second axis "
        "is 1, 3 or 4 long. Give (rows, height, width, channels) or (rows, channels, height, width)."
    )


def settle(x: np.ndarray) -> np.ndarray:
    """Rows in memory as contiguous uint8, float32 or float64. Mapped rows stay in their file."""
    return x if isinstance(x, np.memmap) else np.ascontiguousarray(x, dtype=row_type(x.dtype))
