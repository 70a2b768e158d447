"""Find the data and the labels among the named arrays of a file."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from typing import Final

from aaeframe.errors import DataError

DATA: Final = ("x", "X", "images", "data", "arr_0")
LABELS: Final = ("y", "Y", "labels", "targets")
PARTS: Final = (("train",), ("val", "valid", "validation"), ("test",))


def pick(shapes: Mapping[str, tuple[int, ...]], labels: str | None, where: str) -> list[tuple[str, str | None]]:
    """The names of the data and of its labels, for each part of the file.

    If the file has x_train and x_test, in any case, these are its parts. x_val is between them, and y_train, y_val and
    y_test are the labels, if they exist. Otherwise there is one part: the first of `DATA` that exists, or else the only
    array of two or more axes. Its labels are `labels`, or the first of `LABELS` that exists.

    Raises:
        DataError: the data or the named labels cannot be identified; the message lists the arrays of the file.
    """
    held = _listed(shapes)
    if labels is not None and labels not in shapes:
        raise DataError(f"{where}: there are no labels named {labels!r}. The file holds {held}.")
    parts = _parts(shapes)
    if parts and labels is not None:
        raise DataError(f"{where}: each part of the file has labels of its own; leave labels={labels!r} out.")
    if parts:
        return parts
    others = {name: shape for name, shape in shapes.items() if name != labels}
    data = _first(DATA, others) or _only_large(others)
    if data is None:
        raise DataError(
            f"{where}: cannot tell which array is the data. The file holds {held}; name the data one of "
            f"{', '.join(DATA)}, or x_train and x_test."
        )
    return [(data, labels or _first((name for name in LABELS if name != data), shapes))]


def _parts(shapes: Iterable[str]) -> list[tuple[str, str | None]]:
    lower = {name.lower(): name for name in shapes}
    found = {}
    for names in PARTS:
        x = _first((f"x_{name}" for name in names), lower)
        y = _first((f"y_{name}" for name in names), lower)
        if x is not None:
            found[names[0]] = (lower[x], None if y is None else lower[y])
    return list(found.values()) if {"train", "test"} <= found.keys() else []


def _first(candidates: Iterable[str], there: Container[str]) -> str | None:
    return next((name for name in candidates if name in there), None)


def _listed(shapes: Mapping[str, tuple[int, ...]]) -> str:
    shown = [f"{name} {shape}" for name, shape in list(shapes.items())[:12]]
    more = [f"and {len(shapes) - 12} more arrays"] if len(shapes) > 12 else []
    return ", ".join(shown + more) or "no arrays"


def _only_large(shapes: Mapping[str, tuple[int, ...]]) -> str | None:
    large = [name for name, shape in shapes.items() if len(shape) >= 2]
    return large[0] if len(large) == 1 else None
