"""The result of a reader: the arrays of a file or folder, and what it passed over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

import numpy as np

from aaeframe.data.splits import Cuts

UNLABELED: Final = -1
"""The label of a row without one. NaN, None and empty text mean the same."""

Channels: TypeAlias = Literal["first", "last", "none"]


@dataclass(frozen=True, eq=False)
class RawPart:
    """All data of a file, or its training or test part, as stored."""

    x: Any
    """(N, ...) numbers of any type: an array, possibly mapped, or rows that are sparse or in a source."""
    labels: np.ndarray | None = None
    """(N,) numbers or texts, one per row; rows without a label hold -1, NaN, None or an empty text."""
    ids: np.ndarray | None = None
    """(N,) the names of the rows, texts or integers."""


@dataclass(frozen=True, eq=False)
class RawData:
    """The content of a path."""

    parts: Sequence[RawPart]
    """One part; two, training and test; or three, training, validation and test."""
    cuts: Cuts | None = None
    """The rows of each split, if the format defines them."""
    class_names: tuple[str, ...] | None = None
    """The names of the classes 0, 1, ... of the labels, if the labels are not names themselves."""
    columns: tuple[str, ...] | None = None
    """The names of a table's features."""
    channels: Channels | None = None
    """The axis of the channels, if the format defines it."""
    labels_from: str | None = None
    """The source of the labels, as in "column 'label'" or "the subfolders"."""
    passed_over: tuple[str, ...] = ()
    """A phrase for each kind of thing that was not read, with its number, as in "3 files of .txt"."""
    dropped: int = 0
    """The number of rows left out for their empty cells."""


def text_width(ids: np.ndarray) -> int:
    """The number of characters of the longest of these names of rows, (N,) texts or whole numbers."""
    if ids.dtype.kind == "U":
        return ids.dtype.itemsize // 4
    return max(len(str(ids.min())), len(str(ids.max()))) if len(ids) else 1
