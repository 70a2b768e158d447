"""From the columns of a table to its features, labels and ids."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import numpy as np

from aaeframe.configuration.reading import ReadOptions
from aaeframe.data.raw import RawData, RawPart
from aaeframe.data.readers.limits import check_declared
from aaeframe.data.readers.table_columns import Columns, no_classes
from aaeframe.data.readers.table_dialect import shown
from aaeframe.data.statistics import empty_cells
from aaeframe.errors import AmbiguousLabels, DataError
from aaeframe.storage.text import plural

IDS: Final = ("id", "index")
"""Names, in any case, that a column of different whole numbers has where it names the rows."""


class Result:
    """From the columns read to the features, labels and ids."""

    def __init__(
        self, columns: Columns, options: ReadOptions, has_header: bool, find_labels: bool, said: Sequence[str]
    ) -> None:
        self.columns, self.roles, self.options, self.where = columns, columns.roles, options, columns.where
        self.has_header, self.find_labels, self.said = has_header, find_labels, list(said)

    def raw(self) -> RawData:
        """The content of the table, as a reader returns it."""
        places, x = self._features()
        keep = self._complete(places, x)
        if keep is not None:
            x = x[keep]
        names = [self.roles.names[i] for i in places]
        x, names = self._with_categories(places, x, names, keep)
        labels, class_names = self._labels(keep)
        ids = self._ids(keep)
        label = self.roles.label
        if ids is not None and self.options.ids is None:
            what = "the index" if self.roles.ids is None else f"column {self.roles.names[self.roles.ids]!r}"
            self.said.append(f"{what}, which names the rows")
        return RawData(
            [RawPart(x, labels, ids)],
            class_names=class_names,
            columns=tuple(names) if self.has_header or self.roles.categories else None,
            labels_from=None if label is None else f"column {self.roles.names[label]!r}",
            passed_over=tuple(self.said),
            dropped=0 if keep is None else int((~keep).sum()),
        )

    def _features(self) -> tuple[list[int], np.ndarray]:
        """The places and values of the columns of numbers, without those that only count the rows."""
        columns, places = self.columns, self.columns.numbers
        x = np.frombuffer(columns.values, np.float64) if columns.values else np.empty(0)
        x = x.reshape(columns.rows, len(places))
        left = {k for k, i in enumerate(places) if self._is_left_out(i, x[:, k])}
        if self.find_labels:
            self._check_meaning(places, x)
        if left:
            x = np.delete(x, sorted(left), axis=1)
        return [i for k, i in enumerate(places) if k not in left], x

    def _is_left_out(self, place: int, values: np.ndarray) -> bool:
        name = self.roles.names[place]
        unnamed = self.has_header and re.fullmatch(r"Unnamed: \d+", name)
        ends = not self.has_header and 0 < place == len(self.roles.names) - 1  # of rows that end in a separator
        if len(values) and (unnamed or ends) and np.isnan(values).all():
            self.said.append(f"column {place + 1}, which has no name and no values")
            return True
        if len(values) == 0 or not unnamed:
            return False
        if place == 0 and any(np.array_equal(values, np.arange(start, start + len(values))) for start in (0, 1)):
            self.said.append(f"column 1, which has no name and counts the rows from {values[0]:.0f}")
            return True
        raise DataError(
            f"{self.where}: column {place + 1} has no name ({name!r} here): it can be the index of the rows or a "
            f'feature. Set data.ids="{name}" to keep it as names of the rows, data.drop=["{name}"] to leave it out, or '
            "give it a name in the header."
        )

    def _check_meaning(self, places: Sequence[int], x: np.ndarray) -> None:
        """Refuse columns of numbers that may be labels or names of rows, by their names and values."""
        names = [self.roles.names[i].lower() for i in places]
        if not self.has_header:
            self._check_ends(places, x)
        if not self.has_header or len(x) < 2:
            return
        for k, i in enumerate(places):
            name, column = self.roles.names[i], x[:, k]
            if names[k] not in ("y", *IDS) or not np.isfinite(column).all() or (column != np.floor(column)).any():
                continue
            different = len(np.unique(column))
            if names[k] in IDS and different == len(column):
                raise DataError(
                    f"{self.where}: column {name!r} holds a different whole number in each row. If they name the rows, "
                    f'set data.ids={name}, or data.drop=["{name}"] to leave them out. If they are a feature, give the '
                    "column another name."
                )
            unsure = self.options.label_key is None and self.roles.label is None and "x" not in names
            if names[k] == "y" and unsure and column.min() >= 0 and different * 2 <= len(column):
                raise self._may_be_labels(name, repr(name), different)

    def _check_ends(self, places: Sequence[int], x: np.ndarray) -> None:
        """Refuse a first or last column of few whole numbers next to fractions alone: many files keep labels there."""
        if self.roles.label is not None or self.options.label_key is not None:
            return
        whole = [k for k in range(len(places)) if (x[:, k] == np.floor(x[:, k])).all()]
        if len(whole) != 1 or whole[0] not in (0, len(places) - 1) or len(places) == 1:
            return
        different = len(np.unique(x[:, whole[0]]))
        if 1 < different <= len(x) // 2:
            name = self.roles.names[places[whole[0]]]
            raise self._may_be_labels(name, name, different)

    def _may_be_labels(self, name: str, shown_name: str, different: int) -> AmbiguousLabels:
        return AmbiguousLabels(
            f"{self.where}: column {shown_name} can hold the labels ({different} different whole numbers) or a "
            f'feature. Set data.label_key={name} if these are the labels, data.label_key="" if there are none.',
            name,
        )

    def _complete(self, places: Sequence[int], x: np.ndarray) -> np.ndarray | None:
        """The rows to keep, None for all. DataError if cells are empty and nothing is said about them."""
        holes = {i: np.isnan(x[:, k]) for k, i in enumerate(places)}
        holes |= {i: np.array(coded.codes, np.int64) < 0 for i, coded in self.columns.categories.items()}
        counts = {self.roles.names[i]: int(hole.sum()) for i, hole in sorted(holes.items()) if hole.any()}
        if not counts:
            return None
        row = np.zeros(len(x), np.bool_)
        for hole in holes.values():
            row |= hole
        if self.options.missing is None:
            raise DataError(
                f'{self.where}: {empty_cells(counts)}. Set data.missing="drop" to leave out the {int(row.sum())} of '
                f'{len(x)} rows that hold them, data.missing="mean" to fill in the mean over the training rows, or '
                "leave columns out by data.drop."
            )
        if self.options.missing == "mean":  # a column without any value is refused where the means are known
            return None
        if void := [name for name, count in counts.items() if count == len(x)]:
            raise DataError(f"{self.where}: all cells are empty in {shown(void)}. Leave columns out by data.drop.")
        if row.all():
            raise DataError(f"{self.where}: every row has an empty cell. Leave columns out by data.drop.")
        self.said.append(f"{plural(int(row.sum()), 'row')} with empty cells")
        return ~row

    def _with_categories(
        self, places: Sequence[int], x: np.ndarray, names: list[str], keep: np.ndarray | None
    ) -> tuple[np.ndarray, list[str]]:
        if not self.columns.categories:
            return x, names
        values = {i: _sorted(*coded.values()) for i, coded in self.columns.categories.items()}
        width = x.shape[1] + sum(len(texts) for _, texts in values.values())
        check_declared((len(x), width), 8, self.where)
        whole, number = np.empty((len(x), width)), iter(range(x.shape[1]))
        named: list[str] = []
        for i in sorted([*places, *values]):
            if i not in values:
                whole[:, len(named)] = x[:, next(number)]
                named.append(self.roles.names[i])
                continue
            codes, texts = values[i]
            codes = codes if keep is None else codes[keep]
            for code, text in enumerate(texts):
                whole[:, len(named)] = np.where(codes < 0, np.nan, codes == code)
                named.append(f"{self.roles.names[i]}={text}")
        if len(set(named)) < len(named):
            twice = next(name for name in named if named.count(name) > 1)
            raise DataError(
                f"{self.where}: two columns would be {twice!r}, as data.categories names one for each value. Rename "
                "the other, or the value."
            )
        return whole, named

    def _labels(self, keep: np.ndarray | None) -> tuple[np.ndarray | None, tuple[str, ...] | None]:
        """The labels as whole numbers, or codes and the names of the classes. Rows without one hold -1."""
        if self.roles.label is None:
            return None, None
        codes, texts = self.columns.labels.values()
        if keep is not None:
            codes, texts = _used(codes[keep], texts)
        codes, texts = self._without_nan(codes, texts)
        numbers = [self.columns.marks.number(text) for text in texts]
        wholes = _wholes(texts, numbers)
        empty = bool((codes < 0).any())
        if wholes == [1] and empty:  # as an array they would be -1 and 1, which can be two classes
            return codes, ("1",)
        if wholes is not None and not (empty and -1 in wholes):
            return np.array([*wholes, -1], np.int64)[codes], None
        if texts and all(map(_is_decimal, texts, numbers)) and wholes is None and not _are_whole(numbers):
            name = self.roles.names[self.roles.label]
            odd = next(text for text, number in zip(texts, numbers, strict=True) if number is not None and number % 1)
            raise DataError(
                f"{self.where}: column {name!r} is taken for the labels, but they are not classes: one is {odd[:40]}. "
                f"{no_classes(name, True)}"
            )
        codes, texts = _sorted(codes, texts)
        return codes, tuple(texts) or None

    def _without_nan(self, codes: np.ndarray, texts: list[str]) -> tuple[np.ndarray, list[str]]:
        """Take nan among numbers for rows without a label; DataError among texts, where it may be a name."""
        nans = [i for i, text in enumerate(texts) if text.lower() == "nan"]
        if not nans:
            return codes, texts
        rest = [text for i, text in enumerate(texts) if i not in nans]
        if any(self.columns.marks.number(text) is None for text in rest):
            name = self.roles.names[self.roles.label or 0]
            raise DataError(
                f"{self.where}: column {name!r} holds {texts[nans[0]]!r}: it can be the name of a class, "
                "or stand for no label. Empty these cells if they have no label; else rename the class."
            )
        return _used(np.where(np.isin(codes, nans), -1, codes), texts)

    def _ids(self, keep: np.ndarray | None) -> np.ndarray | None:
        if not self.columns.ids:
            return None
        texts = self.columns.ids
        if keep is not None:
            texts = [text for text, stays in zip(texts, keep, strict=True) if stays]
        numbers = _written_whole(texts)
        if numbers is not None and all(abs(number) < 2**63 for number in numbers):
            return np.array(numbers, np.int64)
        longest = max(map(len, texts), default=0)
        if longest * len(texts) > max(_MOST_IDS, 8 * sum(map(len, texts))):
            raise DataError(
                f"{self.where}: the names of the rows are up to {longest} characters long, and each takes as much "
                "memory as the longest. Shorten it, or leave the column out by data.drop."
            )
        return np.array(texts, np.str_)


_WHOLE: Final = re.compile(r"-?(0|[1-9]\d*)", re.ASCII)
_DECIMAL: Final = re.compile(r"-?(0|[1-9]\d*)[.,]\d*([eE][+-]?\d+)?", re.ASCII)
_MOST_IDS: Final = 2**24


def _is_decimal(text: str, number: float | None) -> bool:
    return number is not None and (_WHOLE.fullmatch(text) or _DECIMAL.fullmatch(text)) is not None


def _are_whole(numbers: Sequence[float | None]) -> bool:
    return all(number is not None and number % 1 == 0 for number in numbers)


def _wholes(texts: Sequence[str], numbers: Sequence[float | None]) -> list[int] | None:
    """The texts as whole numbers, if each is one in the usual way and all stay different."""
    if not texts:
        return None
    found = _written_whole(texts)
    if found is None and all(map(_is_decimal, texts, numbers)) and _are_whole(numbers):
        found = [int(number) for number in numbers if number is not None and abs(number) < 2**53]
    fits = found is not None and len(set(found)) == len(texts) and all(abs(number) < 2**63 for number in found)
    return found if fits else None


def _written_whole(texts: Sequence[str]) -> list[int] | None:
    """The texts as whole numbers, if each is one in the usual way and none is very long."""
    fits = all(_WHOLE.fullmatch(text) and len(text) < 20 for text in texts)
    return [int(text) for text in texts] if fits else None


def _used(codes: np.ndarray, texts: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """Codes without gaps, for the texts that have one."""
    there = np.unique(codes[codes >= 0])
    place = np.full(len(texts) + 1, -1, np.int64)
    place[there] = np.arange(len(there))
    return place[codes], [texts[i] for i in there]


def _sorted(codes: np.ndarray, texts: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """Codes in the order of the texts, which is that of numbers if all are."""
    order = np.argsort(np.array(_written_whole(texts) or texts, object), kind="stable")
    place = np.full(len(texts) + 1, -1, np.int64)
    place[order] = np.arange(len(texts))
    return place[codes], [texts[i] for i in order]
