"""What is refused before memory is taken for it."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Final

from aaeframe.errors import DataError

LARGEST: Final = 16 * 2**30
"""Bytes of one array that is read into memory. What is larger belongs into a .npy or an uncompressed idx
file, which are mapped and never read whole."""

DEFLATE_RATIO: Final = 1032
"""Deflate cannot compress better than this, so a header that promises more is wrong."""


def check_declared(shape: Sequence[int], itemsize: int, where: str) -> int:
    """The bytes of an array as its header declares it.

    Raises:
        DataError: a length is negative, or the array is larger than `LARGEST`.
    """
    if any(length < 0 for length in shape):
        raise DataError(f"{where}: the header declares the shape {tuple(shape)}; lengths cannot be negative.")
    size = prod(shape) * itemsize
    if size > LARGEST:
        raise DataError(
            f"{where}: the header declares {tuple(shape)}, {size / 2**30:,.1f} GiB; at most "
            f"{LARGEST // 2**30} GiB are read into memory. Save larger data as .npy, which is read in rows."
        )
    return size
