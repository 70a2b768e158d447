"""Tables in .csv files."""

from __future__ import annotations

import csv
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TextIO

import numpy as np

from aaeframe.configuration.reading import ReadOptions
from aaeframe.data.raw import RawData, RawPart
from aaeframe.errors import DataError

LONGEST_ROW: Final = 2**24
"""The largest length of one row of a table, in characters."""

LONGEST_LABEL: Final = 1000
"""The largest length of one label, in characters; all labels of a file take as much memory as its longest."""

LABELS: Final = ("label", "labels", "class", "target", "y")
"""The names, in any case, by which a label column is recognized if none is given."""


USES: Final = frozenset({"label_key"})
"""The options that are used."""


def read(path: Path, options: ReadOptions, *, find_labels: bool = True) -> RawData:
    """A table of numbers (N, D), cells separated by commas, and its label column if it has one.

    The first line is a header if none of its cells is a number. Without a header the columns are named 1, 2, 3, and so
    on. The label column is `label_key`, or the first of `LABELS` if `find_labels`. Labels may be texts.

    Raises:
        DataError: the file is unreadable or empty, a line is too long or short, or a cell is not a number.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            return RawData([_read(stream, options.label_key, str(path), LABELS if find_labels else ())])
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as .csv: {error}. It must be text in UTF-8.") from error


@dataclass
class _Table:
    """The cells read so far, in one buffer: a list of a million rows would take ten times the memory."""

    names: Sequence[str]
    label_column: int | None
    where: str
    values: array[float] = field(default_factory=lambda: array("d"))
    labels: list[str] = field(default_factory=list)

    def take(self, line: int, cells: list[str]) -> None:
        """Add a line of the file, counted from 1."""
        if len(cells) != len(self.names):
            raise DataError(
                f"{self.where}: line {line} has {len(cells)} cells, the first line {len(self.names)}. Every "
                "line needs the same number."
            )
        names = list(self.names)
        if self.label_column is not None:
            self._take_label(line, cells.pop(self.label_column).strip(), names.pop(self.label_column))
        try:
            self.values.extend(map(float, cells))
        except ValueError as error:
            name, cell = next((n, c) for n, c in zip(names, cells, strict=True) if not _is_number(c))
            raise DataError(
                f"{self.where}: line {line}, column {name!r} holds {cell[:40]!r}, which is not a number. Cells "
                "are numbers separated by commas; name a column of texts by `labels`."
            ) from error

    def part(self) -> RawPart:
        """The features (N, D) and the labels read so far."""
        features = len(self.names) - (self.label_column is not None)
        x = np.frombuffer(self.values, np.float64).reshape(-1, features) if self.values else np.empty((0, features))
        return RawPart(x, None if self.label_column is None else _numbers_or_texts(self.labels))

    def _take_label(self, line: int, label: str, name: str) -> None:
        if not label:
            raise DataError(f"{self.where}: line {line} has no label in column {name!r}. Fill it or drop the line.")
        if len(label) > LONGEST_LABEL:
            raise DataError(
                f"{self.where}: line {line} has a label of {len(label)} characters in column {name!r}; at most "
                f"{LONGEST_LABEL} are read."
            )
        self.labels.append(label)


def _read(stream: TextIO, labels: str | None, where: str, usual: Sequence[str]) -> RawPart:
    lines = _lines(stream, where)
    line, first = next(lines, (0, []))
    if not first:
        raise DataError(f"{where}: the table is empty.")
    header = not any(map(_is_number, first))
    names = [cell.strip() for cell in first] if header else [str(i + 1) for i in range(len(first))]
    table = _Table(names, _label_column(names, labels, where, usual), where)
    if not header:
        table.take(line, first)
    for line, cells in lines:
        table.take(line, cells)
    return table.part()


def _lines(stream: TextIO, where: str) -> Iterator[tuple[int, list[str]]]:
    physical = _Physical(stream, where, LONGEST_ROW)
    reader = csv.reader(physical, skipinitialspace=True)
    for cells in reader:
        physical.left = LONGEST_ROW
        if cells:
            yield reader.line_num, cells


@dataclass
class _Physical:
    """The lines of a file. One row takes several where cells in quotes hold line breaks."""

    stream: TextIO
    where: str
    left: int
    """The number of characters left for the row."""

    def __iter__(self) -> Iterator[str]:
        while line := self.stream.readline(self.left + 1):
            self.left -= len(line)
            if self.left < 0:
                raise DataError(f"{self.where}: a row is longer than the {LONGEST_ROW} characters that are read.")
            yield line


def _label_column(names: Sequence[str], labels: str | None, where: str, usual: Sequence[str]) -> int | None:
    if labels is None:
        return next((i for known in usual for i, name in enumerate(names) if name.lower() == known), None)
    if labels not in names:
        shown = ", ".join(names if len(names) <= 12 else [*names[:10], "...", names[-1]])
        raise DataError(f"{where}: there is no column {labels!r}. The columns are {shown}.")
    return names.index(labels)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _numbers_or_texts(labels: list[str]) -> np.ndarray:
    return np.array(labels, dtype=np.float64 if all(map(_is_number, labels)) else np.str_)
