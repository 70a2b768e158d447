"""One pass over data in sources: whether all values are finite, and the statistics of each split, which are kept."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from aaeframe.data import cache
from aaeframe.data.dataset import MOST_SPREAD, KnownStatistics, Split, row_type, spread_places
from aaeframe.data.identity import digest_begun, digest_places
from aaeframe.data.sources import StoredRows
from aaeframe.data.statistics import Moments, Total, Wrong, mean_rows, rows_per_piece

SPREAD_BYTES: Final = 2**24
"""The size up to which spread rows are kept, in bytes."""


def surveyed(name: str, splits: Sequence[Split], columns: Sequence[str] | None) -> list[Split]:
    """The splits of a data set in sources with their statistics, from the cache or computed in one pass.

    Raises:
        DataError: values are missing or not finite; the message says how many, and where.
    """
    key = _key(splits)
    stored = None if key is None else cache.read(key)
    found = None if stored is None else [_restored(stored, i, it) for i, it in enumerate(splits)]
    if found is None or any(it is None and len(part) for it, part in zip(found, splits, strict=True)):
        found = _surveyed(name, splits, columns)
        if key is not None and key == _key(splits):  # else files have changed meanwhile
            cache.write(key, {f"{i}.{k}": v for i, it in enumerate(found) for k, v in _arrays(it).items()}, name)
    return [replace(it, known=known) for it, known in zip(splits, found, strict=True)]


class _Collector:
    """The statistics of one split, whose rows come in their order."""

    def __init__(self, split: Split) -> None:
        self.split, self.count = split, 0
        self.moments, self.whole = Moments(split.shape), True
        self._for_moments = _Pieces(rows_per_piece(split.shape), self.moments.add)
        types = {row_type(split.data.dtype), np.dtype(np.float32)} if split.dtype == np.float64 else {split.dtype}
        self._totals = {it: Total(split.shape) for it in types}
        self._for_totals = _Pieces(mean_rows(split.shape), self._add_to_totals)
        row = int(np.prod(split.shape))
        self._digests = {it: digest_begun(len(split), split.shape, it) for it in types}
        self._digested = {it: digest_places(len(split), len(split) * row * it.itemsize) for it in types}
        keeps = min(MOST_SPREAD, len(split)) * row * split.data.dtype.itemsize <= SPREAD_BYTES
        self._spread = spread_places(len(split)) if keeps else None
        self._kept: list[np.ndarray] = []

    def add(self, rows: np.ndarray) -> None:
        """Add the next rows (n, *shape), of the type of the source."""
        first, self.count = self.count, self.count + len(rows)
        for dtype, digest in self._digests.items():
            digest.update(_selected(rows, first, self._digested[dtype]).astype(dtype).tobytes())
        if self._spread is not None:
            self._kept.append(_selected(rows, first, self._spread))
        typed = np.ascontiguousarray(rows, self.split.dtype)
        self.whole = self.whole and (rows.dtype.kind in "bui" or bool((typed == np.rint(typed)).all()))
        self._for_moments.add(typed)
        self._for_totals.add(typed)

    def _add_to_totals(self, rows: np.ndarray) -> None:
        for dtype, total in self._totals.items():
            total.add(rows.astype(dtype, copy=False))

    def result(self) -> KnownStatistics:
        """The statistics, after the last row."""
        self._for_moments.end()
        self._for_totals.end()
        for digest in self._digests.values():
            if self.split.labels is not None:
                digest.update(self.split.labels.tobytes())
        return KnownStatistics(
            self.split.labels,
            {str(dtype): it.hexdigest() for dtype, it in self._digests.items()},
            self.moments.low,
            self.moments.high,
            self.whole,
            {str(dtype): it.value / len(self.split) for dtype, it in self._totals.items()},
            self.moments.result(self.split.dtype),
            None if self._spread is None else np.concatenate(self._kept),
        )


class _Pieces:
    """Regroups rows into pieces of one size, on which the last bits of sums depend."""

    def __init__(self, size: int, take: Callable[[np.ndarray], object]) -> None:
        self._size, self._take = size, take
        self._waiting: list[np.ndarray] = []
        self._count = 0

    def add(self, rows: np.ndarray) -> None:
        while self._count + len(rows) >= self._size:
            lacking = self._size - self._count
            self._waiting.append(rows[:lacking])
            self.end()
            rows = rows[lacking:]
        if len(rows):
            self._waiting.append(rows)
            self._count += len(rows)

    def end(self) -> None:
        if self._waiting:
            self._take(self._waiting[0] if len(self._waiting) == 1 else np.concatenate(self._waiting))
        self._waiting, self._count = [], 0


def _selected(rows: np.ndarray, first: int, places: np.ndarray) -> np.ndarray:
    """The rows at places, which rise; the first of all rows is at the position `first`."""
    begin, end = np.searchsorted(places, [first, first + len(rows)])
    return rows[places[begin:end] - first]


def _surveyed(name: str, splits: Sequence[Split], columns: Sequence[str] | None) -> list[KnownStatistics | None]:
    collectors = [_Collector(it) if len(it) else None for it in splits]
    for data in {id(it.data): it.data for it in splits}.values():
        assert isinstance(data, StoredRows)
        places = [it.chunk_bounds if it.data is data else None for it in splits]
        wrong = Wrong(name, columns)
        for number, start in enumerate(data.bounds[:-1]):
            chunk = data.chunk(number)
            wrong.look(chunk, int(start))
            for split, at, collector in zip(splits, places, collectors, strict=True):
                if collector is not None and at is not None and not wrong.found:
                    index = np.arange(at[number], at[number + 1])
                    collector.add(chunk[(index if split.index is None else split.index[index]) - start])
        data.release()
        wrong.refuse(data.size)
    return [None if it is None else it.result() for it in collectors]


def _key(splits: Sequence[Split]) -> str | None:
    """A digest of all that the statistics depend on; None if a source does not say when it changes."""
    found = hashlib.sha256(b"statistics 1")
    stored: list[Any] = [it.data for it in splits]
    fingerprints = {id(it): it.fingerprint for it in stored}
    if None in fingerprints.values():
        return None
    for split in splits:
        found.update(f"{fingerprints[id(split.data)]} {split.data.shape} {split.data.dtype} {len(split)}\n".encode())
        for array in (split.index, split.labels):
            found.update(b"none" if array is None else _places_of(array))
    return found.hexdigest()


def _places_of(array: Any) -> bytes:
    """The digest of an array of numbers, a piece at a time."""
    found = hashlib.sha256()
    for start in range(0, len(array), 2**20):
        found.update(np.asarray(array[start : start + 2**20], np.int64).tobytes())
    return found.digest()


def _arrays(known: KnownStatistics | None) -> dict[str, np.ndarray]:
    """Statistics as arrays by name; none of a split without rows."""
    if known is None:
        return {}
    center, std = known.moments
    found = {"low": known.low, "high": known.high, "center": center, "std": std}
    found |= {f"mean.{dtype}": it for dtype, it in known.means.items()}
    found |= {} if known.spread is None else {"spread": known.spread}
    found["whole"] = np.array([known.whole], np.uint8)
    return found | {
        f"digest.{dtype}": np.frombuffer(bytes.fromhex(it), np.uint8) for dtype, it in known.digests.items()
    }


def _restored(arrays: Mapping[str, np.ndarray], number: int, split: Split) -> KnownStatistics | None:
    own = _below(f"{number}.", arrays)
    if not len(split) or not own:
        return None
    return KnownStatistics(
        split.labels,
        {dtype: it.tobytes().hex() for dtype, it in _below("digest.", own).items()},
        own["low"],
        own["high"],
        bool(own["whole"][0]),
        _below("mean.", own),
        (own["center"], own["std"]),
        own.get("spread"),
    )


def _below(prefix: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): it for name, it in arrays.items() if name.startswith(prefix)}
