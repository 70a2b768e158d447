"""Columns of a batch as the features of a run on a table. Each cell is read for itself, whatever the others are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from aaeframe.data.readers.frames import numbers_of, texts_of
from aaeframe.data.readers.table_dialect import LABELS, MISSING
from aaeframe.data.statistics import check_values
from aaeframe.errors import DataError
from aaeframe.runs.run import Run

_WHERE: Final = "the batch"


@dataclass(frozen=True, eq=False)
class Columns:
    """Reads columns (N,) by name."""

    run: Run

    def read(self, held: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """The features (N, D), float64, and whether each row (N,) has none, as `data.missing=drop` leaves it out.

        DataError for columns that are missing, texts that are no numbers, unknown categories and empty cells.
        """
        options, names = self.run.config.data.reading, list(self.run.data["columns"])
        coded = {name: [it for it in names if it.startswith(f"{name}=")] for name in options.categories or ()}
        others = {it for part in coded.values() for it in part}
        plain = [name for name in names if name not in others]
        if lacking := [name for name in (*plain, *coded) if name not in held]:
            raise DataError(
                f"{_WHERE}: the columns of the training are missing: {', '.join(lacking[:12])}; found {', '.join(held)}"
            )
        features = {name: numbers_of(name, _flat(name, held[name]), (), _WHERE) for name in plain}
        for name, columns in coded.items():
            features |= self._categories(name, columns, _flat(name, held[name]))
        x = np.stack([features[name] for name in names], axis=1)
        empty = np.isnan(x)
        check_values(np.where(empty, 0, x), _WHERE)
        if empty.any() and options.missing is None:
            first = names[int(empty.any(axis=0).argmax())]
            raise DataError(
                f"{_WHERE}: {int(empty.sum())} cells are empty, the first in {first!r}, and the run was trained "
                "without data.missing; fill them in, or leave these rows out"
            )
        if options.missing == "mean":
            return np.where(empty, self.run.means, x), np.zeros(len(x), np.bool_)
        return x, empty.any(axis=1)

    def labels(self, held: Mapping[str, np.ndarray], kept: np.ndarray) -> np.ndarray:
        """The class (M,) of each row in `kept` (N,), as the run counts classes. DataError for one without a class."""
        options = self.run.config.data.reading
        name = options.label_key or next((it for it in held if it.lower() in LABELS), None)
        if name is None or name not in held:
            raise DataError(
                f"{_WHERE}: the decoder takes labels, and there is no column of them; found {', '.join(held)}"
            )
        found = _places(name, _flat(name, held[name])[kept], self.run.class_names or (), frozenset())
        if (found < 0).any():
            raise DataError(
                f"{_WHERE}: the decoder takes labels, and column {name!r} has empty cells; leave these rows out"
            )
        return found

    def _categories(self, name: str, columns: Sequence[str], values: np.ndarray) -> dict[str, np.ndarray]:
        """A column of zeros and ones for each category, NaN where the cell is empty."""
        missing = MISSING if self.run.config.data.reading.missing == "drop" else frozenset()
        places = _places(name, values, [it.removeprefix(f"{name}=") for it in columns], missing)
        return {it: np.where(places < 0, np.nan, places == k) for k, it in enumerate(columns)}


def _flat(name: str, values: np.ndarray) -> np.ndarray:
    if values.ndim != 1:
        raise DataError(f"{_WHERE}: column {name!r} is {values.shape}; a column of a table is one value a row")
    return values


def _places(name: str, values: np.ndarray, known: Sequence[str], missing: frozenset[str]) -> np.ndarray:
    """The place (N,) of each text among those that are known, -1 where there is none. DataError for another text."""
    place = {text: k for k, text in enumerate(known)}
    seen: dict[Any, int] = {}
    cells = values.tolist()  # once: each time, a NaN is another object, and equal to none
    for value in cells:
        if value not in seen:
            texts = [it.strip() for it in (*texts_of([value], _WHERE), str(value))]  # 1.0 is 1, where that is known
            found = next((place[it] for it in texts if it in place), None)
            if found is None and texts[0] and texts[0] not in missing:
                raise DataError(
                    f"{_WHERE}: column {name!r} holds {texts[0][:40]!r}, which the training data has not; it has "
                    f"{', '.join(known[:12])}"
                )
            seen[value] = -1 if found is None else found
    return np.fromiter((seen[value] for value in cells), np.int64, len(values))
