"""The text of a table: its encoding, its lines, its comments, and the rows of cells."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, TextIO

from aaeframe.errors import DataError

LONGEST_ROW: Final = 2**24
"""The largest length of one row of a table, in characters."""

SAMPLE_LINES: Final = 1000
"""Lines by which the form of a table is found, where they are not longer than `SAMPLE_CHARACTERS`."""

SAMPLE_CHARACTERS: Final = 2**20

COMMENT: Final = "#"

SPREADSHEET_ERROR: Final = re.compile(r"#(N/A|NA|NV|[¡¿]?[^\W\d_]+(/0)?[!?])")
"""The text of a cell that a spreadsheet cannot compute, in several languages, as #DIV/0! and #NAME?."""

_BEGINS_WITH_ERROR: Final = re.compile(rf"{SPREADSHEET_ERROR.pattern}\s*([,;\t|]|$)")

MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def is_comment(line: str) -> bool:
    """Whether a line is a comment: it begins with #, and its first cell is not a spreadsheet's error in capitals."""
    text = line.lstrip()
    return text.startswith(COMMENT) and not ((found := _BEGINS_WITH_ERROR.match(text)) and found[1].isupper())


def decoded(stream: io.BufferedReader, encoding: str | None, where: str) -> TextIO:
    """The text of a stream: in the encoding, or by its mark, or in UTF-8.

    Raises:
        DataError: there is no such encoding, or the bytes look like UTF-16 without a mark.
    """
    begin = stream.peek(4096)[:4096]
    if encoding is None:
        encoding = next((name for mark, name in MARKS if begin.startswith(mark)), None)
        if encoding is None:
            _check_no_utf16(begin, where)
    try:
        return io.TextIOWrapper(stream, encoding or "utf-8", newline="")
    except LookupError as error:
        raise DataError(
            f"{where}: there is no encoding {encoding!r}. Usual ones are utf-8, utf-16, cp1252 (Western Europe on "
            "Windows), cp1250, cp1251, latin-1, gb18030, shift_jis."
        ) from error


def _check_no_utf16(begin: bytes, where: str) -> None:
    even, odd = begin[::2].count(0), begin[1::2].count(0)
    if max(even, odd) * 4 > len(begin) and min(even, odd) * 8 < max(even, odd):
        name = "utf-16-le" if odd > even else "utf-16-be"
        raise DataError(
            f'{where}: looks like UTF-16 without a mark at its beginning. If it is, set data.encoding="{name}".'
        )


@dataclass
class Lines:
    """The physical lines of a text. One row takes several where cells in quotes hold line breaks."""

    stream: TextIO
    where: str
    number: int = 0
    """The lines taken so far."""
    ahead: deque[str] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self.left = LONGEST_ROW
        self.read = 0
        self._look()
        if self.ahead and self.ahead[0].startswith("\ufeff"):
            self.ahead[0] = self.ahead[0][1:]

    def next_row(self) -> None:
        """Begin a row, which may be as long as any."""
        self.left = LONGEST_ROW

    def take(self) -> str:
        """The next line with its end; an empty text at the end of the file."""
        line = self.ahead.popleft() if self.ahead else self._read(self.left)
        self.left -= len(line)
        if self.left < 0:
            raise self._too_long()
        self.number += bool(line)
        return line

    def take_some(self, most: int) -> list[str]:
        """The next lines, each of which may be as long as any."""
        found: list[str] = []
        while len(found) < most:
            self.next_row()
            if not (line := self.take()):
                break
            found.append(line)
        return found

    def give_back(self, lines: Sequence[str]) -> None:
        """Take the last lines again later."""
        self.ahead.extendleft(reversed(lines))
        self.number -= len(lines)

    def _look(self) -> None:
        size = 0
        self.is_complete = False
        """Whether the lines ahead are all that there are."""
        while len(self.ahead) < 3 or (len(self.ahead) < SAMPLE_LINES and size < SAMPLE_CHARACTERS):
            line = self._read(LONGEST_ROW)
            if not line:
                self.is_complete = True
                return
            self.ahead.append(line)
            size += len(line)

    def _read(self, most: int) -> str:
        try:
            line = self.stream.readline(most + 1)
        except UnicodeError as error:
            said = f"data.encoding={self.stream.encoding} is set, but" if "utf" not in self.stream.encoding else ""
            raise DataError(
                f"{self.where}: {said or 'cannot be read as .csv:'} the text after line {self.read} is not "
                f"{self.stream.encoding.upper()} ({error}). Set the encoding: data.encoding=cp1252 for Western Europe "
                "on Windows, or another."
            ) from error
        if len(line) > most:
            raise self._too_long()
        self.read += bool(line)
        if "\0" in line:
            raise DataError(
                f"{self.where}: cannot be read as .csv: line {self.read} holds a null character, so it is no text in "
                f"{self.stream.encoding.upper()}. Set data.encoding, or write the file again."
            )
        return line

    def _too_long(self) -> DataError:
        return DataError(f"{self.where}: a row is longer than the {LONGEST_ROW} characters that are read.")


def split(lines: Sequence[str], separator: str) -> list[list[str]]:
    """The cells of each row. csv.Error if a quote does not end."""
    if separator == " ":
        lines = [line.strip() for line in lines]
    return [cells for cells in csv.reader(lines, delimiter=separator, skipinitialspace=True, strict=True) if cells]


@dataclass
class Rows:
    """The rows of cells that follow."""

    lines: Lines
    separator: str
    comments: int = 0
    """Lines passed over because they begin with the sign of a comment."""
    comment: str = ""
    """The last of them."""
    plain: bool = True
    """Whether the row has no underscore, which Python reads within a number."""
    begins: bool = True

    def __iter__(self) -> Iterator[list[str]]:
        """The cells of each row; none for a blank line."""
        reader = csv.reader(self._physical(), delimiter=self.separator, skipinitialspace=True, strict=True)
        while True:
            self.begins = self.plain = True
            self.lines.next_row()
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                raise DataError(
                    f"{self.lines.where}: cannot be read as .csv: line {self.lines.number}: {error}. Double a quote "
                    'within quotes (""), and end each quoted cell.'
                ) from error
            yield cells

    def _physical(self) -> Iterator[str]:
        while line := self.lines.take():
            if self.begins and is_comment(line):
                self.comments += 1
                self.comment = line
                self.lines.next_row()
                continue
            self.begins = False
            if "_" in line:
                self.plain = False
            yield line.strip() + "\n" if self.separator == " " else line
