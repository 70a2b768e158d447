"""The columns of a table: what each is, and the values read so far."""

from __future__ import annotations

import math
import re
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import numpy as np

from aaeframe.configuration.reading import ReadOptions
from aaeframe.data.classes import MOST_CLASSES
from aaeframe.data.readers.limits import check_declared
from aaeframe.data.readers.table_dialect import LABELS, MISSING, WHOLE, Marks, is_missing, is_text, shown
from aaeframe.data.readers.table_text import SPREADSHEET_ERROR
from aaeframe.errors import DataError, MissingName

BOOLEANS: Final = {"True": "1", "False": "0", "true": "1", "false": "0", "TRUE": "1", "FALSE": "0"}

DATE: Final = re.compile(
    r"\d{4}[-/.]\d{1,2}([-/.]\d{1,2})?([T ].*)?|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}( .*)?"
    r"|\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?( ?[AaPp][Mm])?|\d{1,2}[- ][A-Za-z]{3,9}[- ]\d{2,4}"
)

IDS: Final = "ids"
"""The name, in any case, of a column that names the rows, as in what `aaeframe encode` writes."""

EXACT: Final = 2.0**53
"""The number from which float64 has no longer every whole number."""

ROUND: Final = 512
"""Rows after which the values are checked."""

_NAN: Final = dict.fromkeys(MISSING, "nan")


@dataclass(frozen=True)
class Roles:
    """The columns by their roles, as places from 0."""

    names: tuple[str, ...]
    label: int | None
    ids: int | None
    dropped: frozenset[int]
    categories: tuple[int, ...]

    @property
    def numbers(self) -> list[int]:
        """The columns that must hold numbers, in their order."""
        others = {self.label, self.ids, *self.dropped, *self.categories}
        return [i for i in range(len(self.names)) if i not in others]


def find_roles(names: Sequence[str], options: ReadOptions, where: str, usual: Sequence[str] = LABELS) -> Roles:
    """The place of each role, by the options and, for the labels and ids, by the names.

    Raises:
        DataError: there is no such column, one is to be two things, or two could hold the labels.
    """
    asked: dict[int, str] = {}

    def place(name: str, option: str) -> int:
        if name not in names:
            held = ", ".join(names if len(names) <= 12 else [*names[:10], "...", names[-1]])
            message = f"{where}: there is no column {name!r}. The columns are {held}."
            raise MissingName(message, option.removeprefix("data."), name)
        i = names.index(name)
        if i in asked:
            raise DataError(f"{where}: column {name!r} is in {asked[i]} and in {option}. Name it once.")
        asked[i] = option
        return i

    label = place(options.label_key, "data.label_key") if options.label_key else None
    ids = place(options.ids, "data.ids") if options.ids is not None else None
    dropped = frozenset(place(name, "data.drop") for name in options.drop or ())
    categories = tuple(place(name, "data.categories") for name in options.categories or ())
    if options.label_key is None:
        found = [i for i, name in enumerate(names) if name.lower() in usual and i not in asked]
        if len(found) > 1:
            raise DataError(
                f"{where}: columns {shown(names[i] for i in found)} can each hold the labels. Name the one that does "
                f"by data.label_key={names[found[0]]}, and leave out others of this kind by data.drop."
            )
        label = found[0] if found else None
    if options.ids is None and usual:
        ids = next((i for i, name in enumerate(names) if name.lower() == IDS and i != label and i not in asked), None)
    return Roles(tuple(names), label, ids, dropped, categories)


def check_names(names: Sequence[str], where: str, hint: str = "") -> None:
    """DataError if two columns have one name; `hint` is another way out."""
    if len(set(names)) < len(names):
        twice = Counter(names).most_common(1)[0][0]
        places = [str(i + 1) for i, name in enumerate(names) if name == twice]
        raise DataError(
            f"{where}: columns {' and '.join(places[:5])} are both named {twice!r}. Give each a name of its own{hint}."
        )


class Coded:
    """Texts of a column of labels or categories as numbers 0, 1, ... in the order of their first row.

    Each different text is held once. Marks of missing values count as blank in categories, if rows that have them are
    dropped.
    """

    def __init__(
        self, roles: Roles, column: int | None, options: ReadOptions, where: str, texts: Iterable[str] = ()
    ) -> None:
        self.codes = array("i")
        self.texts: dict[str, int] = {"": -1}
        self.name = "" if column is None else roles.names[column]
        self.is_label, self.where = column == roles.label, where
        self.missing = MISSING if options.missing == "drop" and not self.is_label else frozenset[str]()
        for text in texts:
            self.append(text)

    def append(self, text: str) -> None:
        """Add the text of a row; a blank one has the code -1. DataError for more than `MOST_CLASSES` texts."""
        if text.isspace() or text.strip() in self.missing:
            text = ""
        code = self.texts.setdefault(text, len(self.texts) - 1)
        if code >= MOST_CLASSES:
            raise DataError(
                f"{self.where}: column {self.name!r} has more than {MOST_CLASSES} different values; at most so many "
                f"are classes. {no_classes(self.name, self.is_label)}"
            )
        self.codes.append(code)

    def values(self) -> tuple[np.ndarray, list[str]]:
        """The codes (N,), and the texts in their order without spaces at their ends, unless these tell two apart."""
        texts = list(self.texts)[1:]
        stripped = [text.strip() for text in texts]
        return np.array(self.codes, np.int64), stripped if len(set(stripped)) == len(texts) else texts


Sink: TypeAlias = Callable[[str], None]


@dataclass
class Columns:
    """The cells read so far, in buffers: a list of a million rows would take ten times the memory."""

    roles: Roles
    marks: Marks
    booleans: frozenset[int]
    """The columns of True and False."""
    texts: Sequence[str]
    """The names of the columns of numbers that hold texts, as far as is known."""
    where: str
    labels: Coded
    categories: Mapping[int, Coded]
    values: array[float] = field(default_factory=lambda: array("d"))
    ids: list[str] = field(default_factory=list)
    empty_rows: int = 0
    rows: int = 0

    def __post_init__(self) -> None:
        self.numbers = self.roles.numbers
        sinks: dict[int, Sink] = dict.fromkeys(self.roles.dropped, lambda _: None)
        sinks |= {i: coded.append for i, coded in self.categories.items()}
        if self.roles.label is not None:
            sinks[self.roles.label] = self.labels.append
        if self.roles.ids is not None:
            sinks[self.roles.ids] = self.ids.append
        self.sinks = sorted(sinks.items(), reverse=True)
        self.recent: list[tuple[int, list[str]]] = []

    def take(self, line: int, cells: list[str], plain: bool) -> None:
        """Add a row, whose last line this is, counted from 1. `plain`: it has no underscore."""
        width = len(self.roles.names)
        if len(cells) != width:
            raise self._uneven(line, len(cells))
        if width > 1 and not any(cells):
            self.empty_rows += 1
            return
        for i, sink in self.sinks:
            sink(cells.pop(i))
        self.rows += 1
        if not (plain and not self.booleans and self._extended(cells)):
            self._take_slowly(line, cells, plain)
        self.recent.append((line, cells))
        if len(self.recent) >= ROUND:
            self.check()

    def take_lines(self, lines: Sequence[str], separator: str) -> bool:
        """Add whole lines at once by numpy, in half the time; False if they are not plain numbers, and none is added.

        Lines with quotes, comments or underscores, blank lines, missing cells and large numbers are not plain.
        """
        width, text = len(self.roles.names), "".join(lines)
        if width < 2 or self.booleans or not self.numbers or separator == " " or any(sign in text for sign in '"#_'):
            return False
        if any(line.count(separator) != width - 1 for line in lines):
            return False
        numbers = lines
        if self.marks.decimal == ",":
            if "." in text or separator == ",":
                return False
            numbers = [line.replace(",", ".") for line in lines]
        try:
            x = np.loadtxt(numbers, delimiter=separator, comments=None, usecols=self.numbers, ndmin=2)
        except ValueError:
            return False
        if not (np.abs(x) < EXACT).all():  # NaN is not
            return False
        check_declared((self.rows + len(x), len(self.numbers)), 8, self.where)
        for i, sink in self.sinks:
            for line in lines:
                sink(line.rstrip("\r\n").split(separator, i + 1)[i].lstrip(" "))
        self.values.frombytes(x.tobytes())
        self.rows += len(x)
        return True

    def check(self) -> None:
        """Check the rows since the last time."""
        width, recent = len(self.numbers), self.recent
        self.recent = []
        if not width or not recent:
            return
        check_declared((self.rows, width), 8, self.where)
        start = len(self.values) - width * len(recent)
        large = np.argwhere(np.abs(np.frombuffer(self.values, np.float64)[start:].reshape(-1, width)) >= EXACT)
        for row, column in large:
            line, cells = recent[row]
            text = cells[column].strip()
            value = self.values[start + row * width + column]
            if WHOLE.fullmatch(text) and math.isfinite(value) and int(text) != int(value):
                raise DataError(f"{self.where}: line {line}, {inexact(self.roles.names[self.numbers[column]], text)}")

    def _extended(self, cells: Sequence[str]) -> bool:
        """Add the cells if all are numbers in Python's way, or with a comma; returns whether they are."""
        start = len(self.values)
        if self.marks.decimal == ",":
            joined = "\0".join(cells)
            if "." in joined:
                return False
            cells = joined.replace(",", ".").split("\0") if cells else cells
        try:
            self.values.extend(map(float, cells))
        except ValueError:
            del self.values[start:]
            return False
        return True

    def _take_slowly(self, line: int, cells: Sequence[str], plain: bool) -> None:
        known = [_NAN.get(cell, cell) for cell in cells]
        for place, i in enumerate(self.numbers):
            if i in self.booleans and known[place] != "nan":
                cell = known[place].strip()
                if cell not in BOOLEANS:
                    raise self._no_number(line, i, cell)
                known[place] = BOOLEANS[cell]
        if not (plain and self._extended(known)):
            self.values.extend([self._number(line, i, cell) for i, cell in zip(self.numbers, known, strict=True)])

    def _number(self, line: int, column: int, cell: str) -> float:
        if is_missing(cell):
            return float("nan")
        value = self.marks.number(cell)
        if value is None:
            raise self._no_number(line, column, cell.strip())
        return value

    def _uneven(self, line: int, found: int) -> DataError:
        return DataError(
            f"{self.where}: line {line} has {found} cells, the first line {len(self.roles.names)}. Every line needs "
            "the same number. If cells are not separated right, set data.separator, and data.decimal if a comma is the "
            "decimal mark. A first column that names the rows needs a name in the header, too."
        )

    def _no_number(self, line: int, column: int, cell: str) -> DataError:
        name = self.roles.names[column]
        others = [it for it in self.texts if it != name]
        also = f" Columns of texts, too: {shown(others)}." if others else ""
        return DataError(
            f"{self.where}: line {line}, column {name!r} holds {cell[:40]!r}, which is not a number. "
            f"{advice(name, cell)}{also}"
        )


def advice(name: str, cell: str, *, in_file: bool = True) -> str:
    """The way out for a column that holds this text. `in_file`: the option `decimal` is used."""
    leave = f'leave it out by data.drop=["{name}"]'
    if DATE.fullmatch(cell):
        return (
            "Dates and times are not read: write the days or seconds since a beginning, or the parts that matter "
            f"(month, hour) as numbers; or {leave}, or keep it by data.ids={name}."
        )
    if cell.endswith("%"):
        return f"A percentage can be {cell[:-1][:40]} or a hundredth of it: write it without the sign, or {leave}."
    if SPREADSHEET_ERROR.fullmatch(cell):
        return f"It is an error of the spreadsheet: fix its formula, empty the cell, or {leave}."
    if cell in BOOLEANS:
        return f"True and False are numbers where a column holds nothing else. Write 1 and 0, or {leave}."
    if any(Marks(mark, grouped=True).number(cell) is not None for mark in (".", ",")):
        if not in_file:
            return f"It is a text: give numbers, as 1234.5, or {leave}."
        return 'Say which mark is the decimal one: data.decimal="." or data.decimal=",".'
    return (
        f"A column of texts is named by data.label_key={name} if it holds the labels, "
        f'data.categories=["{name}"] for a column of 0 and 1 per value, data.ids={name} if it names the rows, '
        f'data.drop=["{name}"] to leave it out.'
    )


def no_classes(name: str, is_label: bool) -> str:
    """The way out for a column of too many values for classes."""
    if not is_label:
        return f'Leave it out by data.drop=["{name}"], or keep it by data.ids={name}.'
    return (
        "A quantity cannot be a label. Name the column of the labels by data.label_key, or say that there is none by "
        f'data.label_key="", so that {name!r} is a feature.'
    )


def inexact(name: str, number: str) -> str:
    """A sentence on a whole number that a float would change, and the way out."""
    return (
        f"column {name!r} holds {number[:40]}, which is beyond 2**53, so that numbers near it become one. If it names "
        f'the row: data.ids={name}, or data.drop=["{name}"].'
    )


def columns_of_texts(rows: Sequence[Sequence[str]], roles: Roles) -> tuple[frozenset[int], list[str]]:
    """Among the columns of numbers, those of True and False alone, and the names of those with other texts."""
    booleans, texts = set(), []
    for i in roles.numbers:
        found = {cell for cells in rows if is_text(cell := cells[i].strip())}
        known = sum(not is_missing(cells[i]) for cells in rows)
        if not found:
            continue
        if found <= BOOLEANS.keys() and known == sum(cells[i].strip() in BOOLEANS for cells in rows):
            booleans.add(i)
        else:
            texts.append(roles.names[i])
    return frozenset(booleans), texts
