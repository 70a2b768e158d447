"""The form of a table, found by its first lines: separator, decimal mark, and whether it has a header."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal

from aaeframe.data.readers.table_text import split
from aaeframe.errors import DataError

SEPARATORS: Final = (",", ";", "\t", "|")
"""The usual separators. Spaces are one only where none of these is."""

LABELS: Final = ("label", "labels", "class", "target")
"""The names, in any case, by which a label column is recognized if none is given."""

MISSING: Final = frozenset(
    {"", "?", "NA", "N/A", "n/a", "#N/A", "#N/A N/A", "#NA", "<NA>", "NULL", "null", "None"}
    | {"NaN", "nan", "NAN", "-NaN", "-nan", "+nan", "1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN"}
)
"""The texts for a number that is not known, written by pandas, R, Excel, databases, and the UCI repository."""

LOOSE: Final = re.compile(r"[+-]?(\d[\d.,]*|[.,]\d+)([eE][+-]?\d+)?|[+-]?(inf|infinity)", re.IGNORECASE)
"""A number with either decimal mark and any groups."""

WHOLE: Final = re.compile(r"[+-]?\d+")


def is_number(cell: str) -> bool:
    """Whether a cell is a number with either decimal mark."""
    return LOOSE.fullmatch(cell.strip()) is not None


def is_missing(cell: str) -> bool:
    """Whether a cell stands for a number that is not known."""
    return cell.strip() in MISSING


def is_text(cell: str) -> bool:
    """Whether a cell is neither a number nor missing."""
    return not is_missing(cell) and not is_number(cell)


def shown(cells: Iterable[str], most: int = 6) -> str:
    """Some cells, for a message."""
    cells = list(cells)
    return ", ".join(repr(cell[:40]) for cell in cells[:most]) + (", ..." if len(cells) > most else "")


# Separator.


def find_separator(lines: Sequence[str], complete: bool, decimal: str | None, where: str) -> str:
    """The separator under which every row has the same number of cells, and the fewest columns are texts.

    Raises:
        DataError: two separators do so equally well.
    """
    quotes = any('"' in line for line in lines)
    usual = [it for it in SEPARATORS if not (it == "," and decimal == "," and not quotes)]
    sampled = {it: _sampled(lines, it, complete) for it in (*usual, " ")}
    even = [it for it in usual if _is_even(sampled[it])]
    if not even:
        used = any(len(cells) > 1 for it in usual for cells in sampled[it])
        return " " if _is_even(sampled[" "]) and not used else _nearest(usual, sampled, decimal)
    if len(even) == 1:
        return even[0]
    misfits = {it: _misfits(sampled[it], it) for it in even}
    best = [it for it in even if misfits[it] == min(misfits.values())]
    if len(best) > 1:
        raise DataError(
            f"{where}: cells can be separated by {' or by '.join(repr(it) for it in best)}: its last row seen is "
            f"{' or '.join(f'({shown(sampled[it][-1])})' for it in best)}. Set data.separator to the right one."
        )
    return best[0]


def _sampled(lines: Sequence[str], separator: str, complete: bool) -> list[list[str]]:
    """The rows; without the last, which may go on, unless the lines are complete. No rows if they cannot be split."""
    for cut in (0,) if complete else (0, 1, 2, 5, 20, 100):  # a cell in quotes may go on behind the sample
        try:
            return split(lines[: len(lines) - cut], separator)
        except csv.Error:
            continue
    return []


def _is_even(rows: Sequence[Sequence[str]]) -> bool:
    if not rows:
        return False
    first, widths = len(rows[0]), {len(cells) for cells in rows[1:] or rows}
    width = widths.pop()
    # a header may lack the name of the first column, or the separator at the end of the rows
    return not widths and width > 1 and (first == width or (first > 1 and abs(first - width) == 1))


def _nearest(usual: Sequence[str], sampled: dict[str, list[list[str]]], decimal: str | None) -> str:
    """The separator of most rows, where the rows are of different lengths; any for a single column."""
    counts = {it: sum(len(cells) > 1 for cells in sampled[it]) for it in usual}
    most = max(usual, key=lambda it: counts[it])
    return most if counts[most] else ";" if decimal == "," else ","


def _misfits(rows: Sequence[Sequence[str]], separator: str) -> tuple[int, bool]:
    """The number of columns with texts, and whether a text holds another separator."""
    below = [cells for cells in rows[1:] or rows]
    texts = sum(any(is_text(cell) for cell in column) for column in zip(*below, strict=True))
    others = set(SEPARATORS) - {separator}
    return texts, any(others & set(cell) and not is_number(cell) for cells in below for cell in cells)


# Header.


def find_header(first: Sequence[str], below: Sequence[Sequence[str]], where: str) -> bool:
    """Whether the first row names the columns.

    Rows of texts do, unless their texts come again below. Numbers name columns where they count them from 0, as pandas
    writes them, above columns of decimals, of texts that are names, or of at least five whole numbers.

    Raises:
        DataError: it can be both a header and a row.
    """
    row = [cell.strip() for cell in first]
    columns = [[cells[i].strip() for cells in below] for i in range(len(row))]
    numbers = [i for i, cell in enumerate(row) if is_number(cell)]
    texts = [i for i, cell in enumerate(row) if is_text(cell)]
    again = {i for i in texts if row[i] in columns[i]}
    names = any(_is_name_of(row[i], columns[i]) for i in texts if i not in again) or _is_index(row, columns)
    if not numbers:
        if again and not names and len(again) < len(texts):
            raise _header_or_row(row, where)
        return bool(texts) and (names or not again)
    values = [float(row[i]) if WHOLE.fullmatch(row[i]) else None for i in numbers]
    if names:
        if _counts(values) or (len(values) > 1 and _rises(values)):
            return True
        raise _header_or_row(row, where)
    if again or not below:
        return False
    decimals = all(map(_is_of_decimals, (columns[i] for i in numbers)))
    long = len(numbers) >= 5 and not _is_even_step([below[0][i] for i in numbers])
    if _counts(values):
        if decimals or long:
            return True
        raise _header_or_row(row, where)
    if (decimals and len(numbers) > 1 and _rises(values)) or (long and _is_even_step([row[i] for i in numbers])):
        raise _header_or_row(row, where)
    return False


def _header_or_row(row: Sequence[str], where: str) -> DataError:
    return DataError(
        f"{where}: the first line ({shown(row)}) can be a header or the first row. Set data.header=true if it names "
        "the columns, data.header=false if it is a row."
    )


def _is_name_of(text: str, column: Sequence[str]) -> bool:
    """Whether a text above a column is its name for sure: the name of labels, or a text above numbers."""
    return text.lower() in LABELS or (bool(column) and not any(map(is_text, column)))


def _is_index(row: Sequence[str], columns: Sequence[Sequence[str]]) -> bool:
    """Whether the first cell is empty above numbers that count the rows."""
    return row[0] == "" and columns[0][:2] in (["0", "1"], ["1", "2"], ["0"], ["1"])


def _counts(values: Sequence[float | None]) -> bool:
    return list(values) == list(range(len(values)))


def _rises(values: Sequence[float | None]) -> bool:
    known = [value for value in values if value is not None]
    return len(known) == len(values) and all(a < b for a, b in pairwise(known))


def _is_even_step(cells: Sequence[str]) -> bool:
    """Whether the cells are rising numbers of one distance."""
    try:
        values = [float(cell.replace(",", ".")) for cell in cells]
    except ValueError:
        return False
    steps = [b - a for a, b in pairwise(values)]
    return all(step > 0 and abs(step - steps[0]) <= 1e-6 * steps[0] for step in steps)


def _is_of_decimals(column: Sequence[str]) -> bool:
    known = [cell for cell in column if not is_missing(cell)]
    return bool(known) and not any(map(WHOLE.fullmatch, known))


# Decimal mark.


@dataclass(frozen=True)
class Marks:
    """The marks within the numbers of a table."""

    decimal: Literal[".", ","] = "."
    grouped: bool = False
    """Whether the other mark may stand between groups of three digits."""

    def number(self, cell: str) -> float | None:
        """The value of a cell; None if it is no number."""
        text = cell.strip()
        other = "," if self.decimal == "." else "."
        if other in text:
            if not self.grouped or not _GROUPS[other].fullmatch(text):
                return None
            text = text.replace(other, "")
        text = text.replace(",", ".")
        return float(text) if _PLAIN.fullmatch(text) else None


_PLAIN: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(inf|infinity)", re.IGNORECASE)
_GROUPS: Final = {
    ",": re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d*)?"),
    ".": re.compile(r"[+-]?[1-9]\d{0,2}(\.\d{3})+(,\d*)?"),
}
_EITHER: Final = {mark: re.compile(rf"[+-]?[1-9]\d{{0,2}}{re.escape(mark)}\d{{3}}") for mark in ".,"}


def find_marks(cells: Iterable[str], separator: str, where: str) -> Marks:
    """The decimal mark of the numbers among some cells.

    Raises:
        DataError: numbers have both decimal marks, or all that have a mark could be thousands: 1,234.
    """
    proofs: dict[str, str] = {}
    unsure: dict[str, str] = {}
    for cell in cells:
        text = cell.strip()
        if ("," in text or "." in text) and LOOSE.fullmatch(text):
            for mark, proves in _evidence(text):
                (proofs if proves else unsure).setdefault(mark, text)
    if len(proofs) > 1:
        raise DataError(
            f"{where}: numbers are written with a point ({proofs['.']!r}) and with a comma ({proofs[',']!r}). Write "
            'all in one way, or set data.decimal="." or data.decimal=",".'
        )
    if proofs:
        return Marks("," if "," in proofs else ".", grouped=True)
    either = "," if "," in unsure else "." if "." in unsure and separator == ";" else None
    if either is not None:
        mark = either
        cell, other = unsure[mark], "." if mark == "," else ","
        raise DataError(
            f"{where}: {cell!r} can be {cell.replace(mark, '')} or {cell.replace(mark, '.')}, and no other number "
            f'tells. Set data.decimal="{other}" for the first, data.decimal="{mark}" for the second.'
        )
    return Marks()


def _evidence(text: str) -> Iterator[tuple[str, bool]]:
    """The decimal mark of a number with marks, and whether it is proven."""
    if "," in text and "." in text:
        last = max(text.rfind(","), text.rfind("."))
        if _GROUPS["," if text[last] == "." else "."].fullmatch(text):
            yield text[last], True
        return
    mark = "," if "," in text else "."
    if text.count(mark) > 1:
        if _GROUPS[mark].fullmatch(text):
            yield "." if mark == "," else ",", True
        return
    yield mark, not _EITHER[mark].fullmatch(text)
