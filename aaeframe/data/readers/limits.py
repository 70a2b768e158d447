"""What is refused before memory is taken for it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from math import prod
from typing import Final

from aaeframe.errors import DataError

LARGEST: Final = 16 * 2**30
"""Bytes of one array that is read into memory. What is larger belongs into a .npy or an uncompressed idx
file, which are mapped and never read whole."""

GENEROUS: Final = 2**30
"""Bytes that a compressed file may unfold to, whatever its own size is."""

UNFOLDING: Final = 500
"""How many times its own size a file may unfold to beyond that. Pictures and tables are below 100; a file made to
exhaust memory is near 1,000."""

DEFLATE_RATIO: Final = 1032
"""Deflate cannot compress better than this, so a header that promises more is wrong."""


def check_declared(shape: Sequence[int], itemsize: int, where: str) -> int:
    """The bytes of an array as its header declares it.

    Raises:
        DataError: a length is negative, or the array is larger than `LARGEST` or the machine's memory.
    """
    if any(length < 0 for length in shape):
        raise DataError(f"{where}: the header declares the shape {tuple(shape)}; lengths cannot be negative.")
    size, most = prod(shape) * itemsize, min(LARGEST, _memory())
    if size > most:
        raise DataError(
            f"{where}: the header declares {tuple(shape)}, {size / 2**30:,.1f} GiB; at most "
            f"{most / 2**30:.3g} GiB are read into memory. Save larger data as .npy, which is read in rows."
        )
    return size


def check_unfolding(size: int, packed: int, where: str) -> None:
    """Refuse what `packed` bytes of a file should unfold to.

    Raises:
        DataError: it is more than `GENEROUS`, and more than `UNFOLDING` times as large as in the file.
    """
    if size > max(GENEROUS, UNFOLDING * packed):
        raise DataError(
            f"{where}: the header declares {size / 2**30:,.1f} GiB, over {UNFOLDING} times the {packed:,} bytes that "
            "should unfold to them, as in a file made to exhaust memory. If it is genuine, save it as .npy, which is "
            "read in rows."
        )


def _memory() -> int:
    """Bytes of memory this machine has; `LARGEST` where the system does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return LARGEST
