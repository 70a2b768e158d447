"""Find the data, the labels and the names of the rows among the named arrays of a file."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Final

import numpy as np

from aaeframe.configuration.reading import ReadOptions
from aaeframe.errors import DataError, MissingName
from aaeframe.storage.text import MOST_LISTED, listed

DATA: Final = ("x", "images", "image", "imgs", "data", "features", "inputs", "samples")
"""Names of the data, in any case. `arr_0`, `arr_1`, ... are those that numpy gives to arrays without a name."""

LABELS: Final = ("y", "labels", "label", "targets", "target", "classes", "class")
"""Names of the labels, in any case."""

PARTS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
"""The words in names that mean a part of the data."""


SPARSE: Final = frozenset({"indices", "indptr", "shape", "data"})
"""The arrays in which scipy saves a sparse matrix."""


@dataclass(frozen=True)
class Held:
    """An array as its header declares it."""

    shape: tuple[int, ...]
    kind: str = ""
    """A word for it, if it is not an array of numbers or texts, as in "Python objects"."""
    texts: bool = False
    problem: str | None = None
    """Why it cannot be read; None if it can."""

    @property
    def is_vector(self) -> bool:
        """Whether at most one of the lengths is above one."""
        return sum(length != 1 for length in self.shape) <= 1

    @property
    def may_be_data(self) -> bool:
        """Whether it can be read and has rows of numbers."""
        return self.problem is None and not self.texts and len(self.shape) >= 2

    def __str__(self) -> str:
        return self.kind or str(self.shape)


@dataclass(frozen=True)
class Choice:
    """The arrays of one part of the data."""

    data: str
    labels: str | None = None
    ids: str | None = None


def pick(held: Mapping[str, Held], options: ReadOptions, where: str, *, any_axis: bool = False) -> list[Choice]:
    """The names of the data, of its labels and of its ids, for each part of the file.

    Names like x_train, train_images or testY make parts: training and test, with validation between them, or one part
    alone. Otherwise there is one part: the array with a name of `DATA`, or else the only one with several rows and
    columns. Its labels are `label_key`, or the array with a name of `LABELS`, or arr_1 beside arr_0 if it fits.
    Arrays in `drop` are left out. With `any_axis`, rows may lie along the first or the last axis.

    Raises:
        DataError: the data or the labels cannot be identified, or not be read; the message lists the arrays.
    """
    return _Search(held, options, where, any_axis).choices()


def chosen(choices: Sequence[Choice]) -> set[str]:
    """The names of all arrays that are read."""
    return {name for it in choices for name in (it.data, it.labels, it.ids) if name is not None}


def passed_over(held: Mapping[str, Held], used: Set[str]) -> tuple[str, ...]:
    """The arrays that were not chosen, by what they are."""
    groups: dict[str, list[str]] = {}
    for name, it in held.items():
        if name not in used:
            groups.setdefault(it.kind, []).append(name)
    return tuple(f"{_quoted(names)} of {kind}" if kind else _quoted(names) for kind, names in groups.items())


def labels_from(choices: Sequence[Choice]) -> str | None:
    """The source of the labels, as in "array 'y'"."""
    names = [choice.labels for choice in choices if choice.labels is not None]
    return _quoted(names) if names else None


def as_texts(values: np.ndarray, where: str) -> np.ndarray:
    """Numbers and texts as they are, and bytes as texts. DataError if they are not in UTF-8."""
    if values.dtype.kind != "S":
        return values
    try:
        return np.char.decode(values, "utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{where}: holds texts that are not in UTF-8: {error}. Save them as str.") from error


def as_ids(ids: np.ndarray, where: str) -> np.ndarray:
    """Names of rows (N,), texts or integers. DataError for other numbers."""
    flat = as_texts(ids, where).reshape(-1)
    if flat.dtype.kind in "Uiu":
        return flat
    if flat.dtype.kind == "f" and np.isfinite(flat).all() and (np.abs(flat) < 2**53).all():
        whole = flat.astype(np.int64)
        if (whole == flat).all():
            return whole
    raise DataError(f"{where}: the ids are of type {ids.dtype}; they must be texts or whole numbers.")


class _Search:
    """The search for the arrays of one file."""

    def __init__(self, held: Mapping[str, Held], options: ReadOptions, where: str, any_axis: bool) -> None:
        self.all, self.where, self.any_axis = held, where, any_axis
        self.label_key, self.ids = options.label_key, options.ids
        dropped = options.drop or ()
        for name in dropped:
            if name not in held:
                message = f"{where}: there is no array {name!r} to drop. The file holds {_listed(held)}."
                raise MissingName(message, "drop", name)
        self.held = {name: it for name, it in held.items() if name not in dropped}

    def choices(self) -> list[Choice]:
        parts = self._parts()
        choices = parts or [self._only_part()]
        for what, option, names in (
            ("labels", "label_key", [it.labels for it in choices]),
            ("ids", "ids", [it.ids for it in choices]),
        ):
            for choice, name in zip(choices, names, strict=True):
                if name is not None:
                    self._check(choice.data, name, what, option, [it for it in names if it is not None])
        return choices

    def _parts(self) -> list[Choice]:
        """The parts, if names of the data name them."""
        roles = {name: part_and_rest(name) for name in self.held}
        whole = [name for name, it in self.held.items() if name.lower() in DATA and it.may_be_data]
        data: dict[str, list[str]] = {}
        for name, (part, rest) in roles.items():
            # a part's word alone may name something else, as `valid` does a mask
            if part is not None and (rest in DATA or not (rest or whole)) and self.held[name].may_be_data:
                data.setdefault(part, []).append(name)
        if not data:
            return []
        self._check_parts(data, whole)
        choices = []
        for part in (part for part in ("train", "val", "test") if part in data):
            x = self._one(data[part], f"the data of the {part} part")
            mine = {name: rest for name, (its, rest) in roles.items() if its == part and name != x}
            ids = None if self.ids is None else self._of_part(mine, self.ids, len(data))
            choices.append(Choice(x, self._part_labels(x, mine, len(data)), ids))
        for what, option, value, found in (
            ("labels", "label_key", self.label_key, [it.labels for it in choices]),
            ("ids", "ids", self.ids, [it.ids for it in choices]),
        ):
            if value is not None and not any(found):
                raise DataError(
                    f"{self.where}: each part of the file has {what} of its own, and none is named {value!r}. "
                    f"Leave data.{option} out, or name what the parts have in common, as y in y_train and y_test. "
                    f"The file holds {_listed(self.all)}."
                )
        return choices

    def _check_parts(self, data: Mapping[str, Sequence[str]], whole: Sequence[str]) -> None:
        names = [name for part in data.values() for name in part]
        if data.keys() != {"train", "test"} and data.keys() != {"train", "val", "test"} and len(data) > 1:
            raise DataError(
                f"{self.where}: {_quoted(names)} are parts, but training and test are not both there. The file "
                f"holds {_listed(self.all)}. Name them x_train and x_test, or leave some out by {_drop(names[1:])}."
            )
        if whole:
            raise DataError(
                f"{self.where}: {_quoted(whole)} can be the data, and so can {_quoted(names)}. The file holds "
                f"{_listed(self.all)}. Leave one out: {_drop(whole)} or {_drop(names)}."
            )

    def _part_labels(self, x: str, mine: Mapping[str, str], parts: int) -> str | None:
        if self.label_key is not None:
            return self._of_part(mine, self.label_key, parts)
        return self._labels_among([name for name, rest in mine.items() if rest in LABELS], x)

    def _of_part(self, mine: Mapping[str, str], key: str, parts: int) -> str | None:
        """The array of a part that an option names: by what the parts have in common, or by its own name."""
        if parts == 1 and key in self.held:
            return key
        wanted = part_and_rest(key)[1]
        return next((name for name, rest in mine.items() if name == key or rest == wanted), None)

    def _only_part(self) -> Choice:
        for what, option, name in (("labels", "label_key", self.label_key), ("ids", "ids", self.ids)):
            if name is not None and name not in self.held:
                message = f"{self.where}: there are no {what} named {name!r}. The file holds {_listed(self.all)}."
                raise MissingName(message, option, name)
        x = self._data()
        return Choice(x, self.label_key or self._found_labels(x), self.ids)

    def _data(self) -> str:
        others = {name: it for name, it in self.held.items() if name not in (self.label_key, self.ids)}
        may_be = self._largest([name for name, it in others.items() if it.may_be_data])
        named = [name for name in may_be if name.lower() in DATA]
        if named:
            return self._one(named, "the data")
        broken = [name for name, it in others.items() if it.problem and name.lower() in (*DATA, "arr_0")]
        if broken or (len(others) == 1 and next(iter(others.values())).problem):
            raise DataError(f"{self.where}: {others[(broken or list(others))[0]].problem}")
        not_labels = [name for name in may_be if name.lower() not in LABELS]
        large = [name for name in not_labels if not others[name].is_vector] or not_labels
        if len(large) == 1:
            return large[0]
        leave = f", or leave others out, as {_drop(large[1:])}" if len(large) > 1 else ""
        sparse = " It looks like a sparse matrix of scipy: save `matrix.toarray()`."
        raise DataError(
            f"{self.where}: cannot tell which array is the data. The file holds {_listed(self.all)}; name the data one "
            f"of {', '.join(DATA)}, or x_train and x_test{leave}.{sparse if self.all.keys() >= SPARSE else ''}"
        )

    def _largest(self, names: Sequence[str]) -> Sequence[str]:
        """Names of all that are not single values, nor vectors where those have two axes; or all, if none remains."""
        held = self.held
        small = [it for it in names if (held[it].is_vector if self.any_axis else set(held[it].shape) <= {1})]
        return [name for name in names if name not in small] or names

    def _found_labels(self, x: str) -> str | None:
        named = [name for name in self.held if name.lower() in LABELS and name != x]
        if not named and x == "arr_0" and "arr_1" in self.held:
            beside = self.held["arr_1"]
            return "arr_1" if beside.problem is None and beside.is_vector and self._fits(x, "arr_1") else None
        return self._labels_among(named, x)

    def _labels_among(self, names: Sequence[str], x: str) -> str | None:
        if len(names) > 1:
            names = [name for name in names if self._fits(x, name)] or names
        if len(names) > 1:
            raise DataError(
                f"{self.where}: {_quoted(names)} can be the labels. The file holds {_listed(self.all)}. Name one by "
                f"data.label_key={names[0]}, or leave the others out, as {_drop(names[1:])}."
            )
        return names[0] if names else None

    def _one(self, names: Sequence[str], what: str) -> str:
        if len(names) == 1:
            return names[0]
        raise DataError(
            f"{self.where}: {_quoted(names)} can be {what}. The file holds {_listed(self.all)}. Leave all but one out, "
            f"as {_drop(names[1:])}."
        )

    def _fits(self, x: str, name: str) -> bool:
        """Whether it has one value for each row."""
        it, shape = self.held[name], self.held[x].shape
        lengths = {shape[0], shape[-1]} if self.any_axis else {shape[0]}
        if self.any_axis and it.texts:
            return it.shape[:1] != () and it.shape[0] in lengths  # a matrix of characters has a row for each text
        return it.is_vector and int(np.prod(it.shape)) in lengths

    def _check(self, data: str, name: str, what: str, option: str, every: Sequence[str]) -> None:
        """Refuse labels or ids that cannot be read, or have another number than the rows."""
        rows, it = self.held[data].shape, self.held[name]
        if it.problem is not None:
            raise DataError(f"{self.where}: {it.problem} To read the data without these {what}: {_drop(every)}.")
        if 0 in rows or self._fits(data, name):
            return
        first = rows[0]
        needed = f"{first} or {rows[-1]} rows need as many" if self.any_axis else f"{first} rows need ({first},)"
        one_hot = it.shape[:1] == (first,) and len(it.shape) == 2 and what == "labels"
        hint = " Class indices of one-hot rows are `labels.argmax(1)`." if one_hot else ""
        raise DataError(
            f"{self.where}: the {what} have the shape {it.shape}; {needed}.{hint} They are array {name!r}, and "
            f"{data!r} is {rows}. Name others by data.{option}, or read the data without: {_drop(every)}."
        )


def part_and_rest(name: str) -> tuple[str | None, str]:
    """The part that a name begins or ends with, and the rest: ("train", "x") for x_train and for trainX."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
    words = [word for word in re.split(r"[^a-z0-9]+", spaced) if word]
    if len(words) == 1:
        glued = re.fullmatch(rf"(x|y)({'|'.join(PARTS)})|({'|'.join(PARTS)})(x|y)", words[0])
        if glued:
            words = [word for word in glued.groups() if word]
    for at in (0, -1):
        if words and words[at] in PARTS:
            part = PARTS[words.pop(at)]
            return part, "_".join(words)
    return None, "_".join(words)


def _listed(held: Mapping[str, Held]) -> str:
    shown = [f"{name} {it}" for name, it in list(held.items())[:MOST_LISTED]]
    more = [f"and {len(held) - MOST_LISTED} more arrays"] if len(held) > MOST_LISTED else []
    return ", ".join(shown + more) or "no arrays"


def _quoted(names: Sequence[str]) -> str:
    return f"{'array' if len(names) == 1 else 'arrays'} {listed(names)}"


def _drop(names: Sequence[str]) -> str:
    return f"data.drop=[{', '.join(names)}]"
