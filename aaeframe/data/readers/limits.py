"""Size limits checked before allocation."""

from __future__ import annotations

import os
from collections.abc import Sequence
from math import prod
from typing import Final

from aaeframe.errors import DataError

LARGEST: Final = 16 * 2**30
"""The largest array that is read into memory, in bytes. Larger data must be in a .npy or an uncompressed idx file,
which are mapped and read in rows."""

GENEROUS: Final = 2**30
"""The size to which any compressed file may expand, in bytes."""

UNFOLDING: Final = 500
"""The largest ratio of expanded to compressed size above that. Pictures and tables are below 100; a file made to
exhaust memory is near 1,000."""

DEFLATE_RATIO: Final = 1032
"""The best ratio that Deflate can reach, so a header that promises more is wrong."""


def check_declared(shape: Sequence[int], itemsize: int, where: str) -> int:
    """The size of an array in bytes, by the shape in its header.

    Raises:
        DataError: a length is negative, or the array is larger than `LARGEST` or the machine's memory.
    """
    if any(length < 0 for length in shape):
        raise DataError(f"{where}: the header declares the shape {tuple(shape)}; lengths cannot be negative.")
    size, most = prod(shape) * itemsize, min(LARGEST, memory())
    if size > most:
        raise DataError(
            f"{where}: the header declares {tuple(shape)}, {size / 2**30:,.1f} GiB; at most "
            f"{most / 2**30:.3g} GiB are read into memory. Save larger data as .npy, which is read in rows."
        )
    return size


def check_unfolding(size: int, packed: int, where: str, says: str = "the header declares") -> None:
    """Refuse to expand `packed` bytes of a file to `size` bytes.

    Raises:
        DataError: `size` is above `GENEROUS`, and more than `UNFOLDING` times `packed`.
    """
    if size > max(GENEROUS, UNFOLDING * packed):
        raise DataError(
            f"{where}: {says} {size / 2**30:,.1f} GiB, over {UNFOLDING} times the {packed:,} bytes that "
            "should unfold to them, as in a file made to exhaust memory. If it is genuine, save it as .npy, which is "
            "read in rows."
        )


def memory() -> int:
    """The machine's memory in bytes; `LARGEST` if the system does not report it."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return LARGEST
