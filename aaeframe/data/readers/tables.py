"""Tables: .csv, .tsv and .txt files, packed or not."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aaeframe.configuration.reading import ReadOptions
from aaeframe.data.raw import RawData
from aaeframe.data.readers.table_columns import ROUND, Coded, Columns, check_names, columns_of_texts, find_roles
from aaeframe.data.readers.table_dialect import (
    LABELS,
    Marks,
    find_header,
    find_marks,
    find_separator,
    is_number,
    shown,
)
from aaeframe.data.readers.table_result import Result
from aaeframe.data.readers.table_text import COMMENT, Lines, Rows, decoded, is_comment, split
from aaeframe.data.readers.unpack import BROKEN, PACKED, opened, suffix_inside
from aaeframe.errors import DataError
from aaeframe.storage.text import plural

SUFFIXES: Final = (".csv", ".tsv", ".txt")

LONGEST_NAME: Final = 1000
"""The largest length of the name of a column, in characters."""

SEPARATOR_LINE: Final = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE | re.DOTALL)
"""The line by which Excel is told the separator."""


def is_table(path: Path) -> bool:
    """Whether a file is a table by its name."""
    return suffix_inside(path) in (*SUFFIXES, ".zip")


def read(path: Path, options: ReadOptions, *, find_labels: bool = True) -> RawData:
    """A table of numbers (N, D), its label column if it has one, and what the options make of other columns.

    | found out | how |
    | --- | --- |
    | encoding | by its mark; UTF-8 without one |
    | separator | a line "sep=;", or that of `, ; tab |` under which the rows are even and are numbers; else spaces |
    | decimal mark | by numbers that have a mark and no thousands |
    | header | see `find_header`; without one the columns are named 1, 2, 3, and so on |
    | labels | `label_key`, or the column named label, labels, class or target if `find_labels`; "" is none |

    A column without a name is left out if it counts the rows, or is empty. Lines that begin with # are comments; the
    last one before the rows is the header if it has as many cells and the first row is of numbers.

    Raises:
        DataError: the file is unreadable or empty, a row is too long or short, a cell is not a number or empty, or
            something can be read in two ways.
    """
    try:
        with opened(path) as stream:
            lines = Lines(decoded(stream, options.encoding, str(path)), str(path))
            return _Table(lines, options, str(path), find_labels).read()
    except DataError:
        raise
    except BROKEN as error:
        kind = path.suffix if path.suffix.lower() in PACKED else ".csv"
        raise DataError(f"{path}: cannot be read as {kind}: {error}. Fetch or write the file again.") from error
    except (UnicodeError, RuntimeError) as error:
        raise DataError(f"{path}: cannot be read as .csv: {error}. Set data.encoding to that of its text.") from error


@dataclass(frozen=True)
class _Header:
    names: list[str]
    row: list[str] | None
    """The first row of the file if it is no header."""
    is_there: bool
    said: tuple[str, ...] = ()


class _Table:
    """One table while it is read."""

    def __init__(self, lines: Lines, options: ReadOptions, where: str, find_labels: bool) -> None:
        self.lines, self.options, self.where, self.find_labels = lines, options, where, find_labels
        self.comments: list[str] = []

    def read(self) -> RawData:
        """All rows."""
        separator = self._separator()
        self._take_comments()
        sample = self._sample(separator)
        if not sample:
            raise DataError(f"{self.where}: the table is empty.")
        rows = Rows(self.lines, separator)
        iterator = iter(rows)
        first = next(cells for cells in iterator if cells)
        line = self.lines.number
        header = self._header(first, sample[1:], separator)
        below = [cells for cells in sample[header.row is None :] if len(cells) == len(header.names)]
        columns = self._columns(header, below, separator)
        if header.row is not None:
            columns.take(line, header.row, rows.plain)
        self._take_rows(rows, iterator, columns)
        columns.check()
        self._check_comments(rows, columns, separator)
        said = (*header.said, *self._said(rows, columns))
        return Result(columns, self.options, header.is_there, self.find_labels, said).raw()

    def _take_rows(self, rows: Rows, iterator: Iterator[list[str]], columns: Columns) -> None:
        blank, taken = 0, 0
        self._take_plain(columns, rows.separator)
        for cells in iterator:
            if not cells:
                blank += 1
                continue
            if len(columns.roles.names) == 1:  # Excel writes an empty cell of a single column as a blank line
                for _ in range(blank):
                    columns.take(self.lines.number, [""], True)
            columns.take(self.lines.number, cells, rows.plain)
            blank, taken = 0, taken + 1
            if taken % ROUND == 0:
                columns.check()
                self._take_plain(columns, rows.separator)

    def _take_plain(self, columns: Columns, separator: str) -> None:
        """Take rows as long as they are plain."""
        while lines := self.lines.take_some(ROUND):
            if not columns.take_lines(lines, separator):
                self.lines.give_back(lines)
                return

    # Form.

    def _separator(self) -> str:
        found = SEPARATOR_LINE.fullmatch(self.lines.ahead[0]) if self.lines.ahead else None
        if found:
            self.lines.take()
        chosen = self.options.separator or (found and found[1])
        if not chosen:
            lines = [line for line in self.lines.ahead if not is_comment(line)]
            return find_separator(lines, self.lines.is_complete, self.options.decimal, self.where)
        quoted = any('"' in line for line in self.lines.ahead)
        if chosen in '"\r\n#+-.' or chosen.isalnum() or (chosen == "," == self.options.decimal and not quoted):
            raise DataError(f"{self.where}: {chosen!r} cannot separate cells. Usual are , ; | a tab or a space.")
        return chosen

    def _take_comments(self) -> None:
        while self.lines.ahead and (not (line := self.lines.ahead[0].strip()) or is_comment(line)):
            self.lines.next_row()
            taken = self.lines.take()
            if line:
                self.comments.append(taken)

    def _sample(self, separator: str) -> list[list[str]]:
        lines = [line for line in self.lines.ahead if not is_comment(line)]
        for count in (len(lines), len(lines) // 2, 1):
            try:
                rows = split(lines[:count], separator)
            except csv.Error:  # a cell in quotes goes on behind the sample, or never ends, which is found later
                continue
            return rows if self.lines.is_complete or len(rows) < 3 else rows[:-1]
        return [[]]

    def _header(self, first: list[str], below: list[list[str]], separator: str) -> _Header:
        width = self._width(first, below)
        padded = [*first, ""][:width] if len(first) < width else first[:width] if not any(first[width:]) else first
        above = self._names_in_comment(width, separator)
        even = [cells for cells in below if len(cells) == width]
        numbers = any(map(is_number, first))
        if above and numbers and self.options.header is not False:
            self.comments.pop()
            return _Header(_named(above), first, True)
        header = self.options.header
        if header is None:
            header = find_header(padded, even, self.where)
            if header and numbers:
                said = f"the first line ({shown(first)}), which is taken for a header"
                return _Header(_named(padded), None, True, (said,))
        if header:
            return _Header(_named(padded), None, True)
        return _Header([str(i + 1) for i in range(len(first))], first, False)

    def _width(self, first: list[str], below: Sequence[list[str]]) -> int:
        """The number of cells of the rows: one more or less than the first line's, if all end in a separator."""
        widths = {len(cells) for cells in below}
        if len(widths) == 1:
            width = widths.pop()
            if width == len(first) + 1 and len(first) > 1 and not any(cells[-1].strip() for cells in below):
                return width
            if width == len(first) - 1 and width > 0 and not first[-1].strip():
                return width
        return len(first)

    def _names_in_comment(self, width: int, separator: str) -> list[str] | None:
        if not self.comments:
            return None
        names = [cell.strip() for cell in _cells(self.comments[-1].lstrip()[1:], separator)]
        if len(names) != width or any(map(is_number, names)):
            return None
        return [names[0] or COMMENT, *names[1:]]

    def _columns(self, header: _Header, below: Sequence[list[str]], separator: str) -> Columns:
        _check_lengths(header.names, self.where)
        if self.find_labels:
            check_names(header.names, self.where, ", or set data.header=false if the first line is a row")
        roles = find_roles(header.names, self.options, self.where, LABELS if self.find_labels else ())
        marks = Marks(self.options.decimal, grouped=True) if self.options.decimal else None
        if marks is None:
            marks = find_marks((cells[i] for cells in below for i in roles.numbers), separator, self.where)
        booleans, texts = columns_of_texts(below, roles)
        coded = {i: Coded(roles, i, self.options, self.where) for i in roles.categories}
        labels = Coded(roles, roles.label, self.options, self.where)
        return Columns(roles, marks, booleans, texts, self.where, labels, coded)

    # What is passed over.

    def _check_comments(self, rows: Rows, columns: Columns, separator: str) -> None:
        """Refuse lines that begin with # where the first column holds texts, which may begin so."""
        names = columns.roles.names
        if 0 in columns.numbers:
            return
        for line in (*self.comments, rows.comment):
            if len(_cells(line, separator)) == len(names):
                raise DataError(
                    f"{self.where}: the line {line[:40]!r} can be a comment or a row whose {names[0]!r} begins with #. "
                    "Take comments out, or put the cells in quotes."
                )

    def _said(self, rows: Rows, columns: Columns) -> Iterable[str]:
        if count := len(self.comments) + rows.comments:
            yield plural(count, "comment line")
        if dropped := [columns.roles.names[i] for i in sorted(columns.roles.dropped)]:
            yield f"{'column' if len(dropped) == 1 else 'columns'} {shown(dropped)}, as data.drop asks"
        if columns.empty_rows:
            yield f"{plural(columns.empty_rows, 'row')} with no value in any cell"


def _named(cells: Sequence[str]) -> list[str]:
    """The names of a header. A column without one has its place from 0, as in pandas."""
    return [cell.strip() or f"Unnamed: {i}" for i, cell in enumerate(cells)]


def _cells(line: str, separator: str) -> list[str]:
    """The cells of one line; none if a quote does not end."""
    try:
        return next(iter(split([line], separator)), [])
    except csv.Error:
        return []


def _check_lengths(names: Sequence[str], where: str) -> None:
    for i, name in enumerate(names):
        if len(name) > LONGEST_NAME:
            raise DataError(
                f"{where}: the first line names column {i + 1} by {len(name)} characters; at most {LONGEST_NAME} are "
                "read. Set data.header=false if it is a row."
            )
