"""Genuine bytes, slightly wrong."""

from __future__ import annotations

import struct

from hypothesis import strategies as st

EXTREMES = (0, 1, -1, 2, 127, 128, 255, 256, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, -(2**31))
"""Numbers near which counters overflow."""

FIELDS = tuple(
    struct.pack(f"{order}{form}", number & (2 ** (8 * size) - 1))
    for order in "<>"
    for form, size in (("H", 2), ("I", 4), ("Q", 8))
    for number in EXTREMES
)

integers = st.sampled_from(EXTREMES) | st.integers(-(2**70), 2**70)

_places = st.integers(0, 80) | st.integers(-80, -1) | st.integers(0, 2**16)
"""Mostly where headers and trailers are."""


def mutated(*genuine: bytes) -> st.SearchStrategy[bytes]:
    """One of these contents with up to four edits, of which most are none to a text and all are to a header."""
    return st.builds(_edited, st.sampled_from(genuine), st.lists(_edits, max_size=4))


def _edited(content: bytes, edits: list) -> bytes:
    for kind, place, piece in edits:
        at = place % (len(content) + 1) if place >= 0 else max(0, len(content) + place)
        if kind == "cut":
            content = content[:at]
        elif kind == "insert":
            content = content[:at] + piece + content[at:]
        elif kind == "remove":
            content = content[:at] + content[at + len(piece) :]
        elif kind == "again":
            content = content[:at] + content[max(0, at - 64) :]
        else:
            content = content[:at] + piece + content[at + len(piece) :]
    return content


_edits = st.tuples(
    st.sampled_from(["over", "over", "over", "cut", "insert", "remove", "again"]),
    _places,
    st.sampled_from(FIELDS) | st.binary(min_size=1, max_size=4),
)
