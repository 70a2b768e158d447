"""Shards: a result that several processes compute in parts, and how the parts become one again."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import Annotated, Final
from zipfile import BadZipFile, is_zipfile

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from aaeframe.errors import ConfigError, DataError
from aaeframe.storage.npz import Chunked, StoredArray
from aaeframe.storage.problems import problems
from aaeframe.storage.results import ABOUT, Results, header

SUFFIXES: Final = (".npz", ".parquet")
"""The formats of a shard: they can store its description."""
_TYPES: Final = frozenset("biufU")
_KNOWN: Final = ("labels", "ids")
Count = Annotated[int, Field(ge=0)]


@dataclass(frozen=True)
class Share:
    """One of several shares of some work, which are as equal as whole units allow."""

    index: int
    """From 0."""
    count: int

    @classmethod
    def named(cls, text: str) -> Share:
        """The share of a text such as "0/64". ConfigError for another text."""
        found = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text)
        if not found or not int(found[2]):
            raise ConfigError(
                f"--shard {text} is not I/N, such as 0/64 for the first of 64 shards and 63/64 for the last"
            )
        index, count = int(found[1]), int(found[2])
        if index >= count:
            raise ConfigError(f"--shard {text}: shards are counted from 0, so that the last one is {count - 1}/{count}")
        return cls(index, count)

    def bounds(self, units: int) -> tuple[int, int]:
        """The first unit of this share, and the one after its last."""
        return units * self.index // self.count, units * (self.index + 1) // self.count

    def path(self, path: Path) -> Path:
        """The file of this share: "scores.npz" becomes "scores-00003-of-00064.npz"."""
        return path.with_name(f"{path.stem}-{self.index:05d}-of-{self.count:05d}{path.suffix}")

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"


WHOLE: Final = Share(0, 1)


class Description(BaseModel):
    """A description that a file holds next to its arrays. Unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Layout(Description):
    """The properties of `Results` that do not depend on the rows."""

    types: dict[str, str]
    """The numpy type of each array, labels and ids too."""
    shapes: dict[str, list[Count]]
    """The shape of one row of each array."""
    shown: list[str]
    columns: dict[str, list[str]]
    class_names: list[str] | None
    draws: Count
    flat: bool

    @classmethod
    def of(cls, results: Results) -> Layout:
        """The layout of these results."""
        arrays = {**results.arrays, **{name: it for name in _KNOWN if (it := getattr(results, name)) is not None}}
        return cls(
            types={name: it.dtype.str for name, it in arrays.items()},
            shapes={
                name: list(it.shape[2 if results.draws and name not in _KNOWN else 1 :]) for name, it in arrays.items()
            },
            shown=list(results.shown),
            columns={name: list(it) for name, it in results.columns.items()},
            class_names=None if results.class_names is None else list(results.class_names),
            draws=results.draws,
            flat=results.flat,
        )

    def results(self, count: int, chunks: Mapping[str, Iterable[np.ndarray]] | None = None) -> Results:
        """Results of this layout with `count` rows, whose arrays come in these chunks; empty arrays without."""

        def array(name: str) -> StoredArray | None:
            if name not in self.types:
                return None
            draws = (self.draws,) if self.draws and name not in _KNOWN else ()
            shape, dtype = (*draws, count, *self.shapes[name]), np.dtype(self.types[name])
            return np.empty(shape, dtype) if chunks is None else Chunked(shape, dtype, chunks[name])

        arrays = {name: it for name in self.types if name not in _KNOWN and (it := array(name)) is not None}
        labels, ids = array("labels"), array("ids")
        return Results(arrays, self.shown, self.columns, labels, self.class_names, ids, self.draws, self.flat)


class Shard(Description):
    """The rows that a file holds, and what they were computed from."""

    index: Count
    count: Annotated[int, Field(ge=1)]
    start: Count
    """The first row."""
    stop: Count
    """The row after the last."""
    rows: Count
    """The number of rows of all shards."""
    origin: dict[str, str | int | float | bool | None]
    """Everything that the numbers depend on, by the name in messages; equal in all shards of a result."""
    layout: Layout


@dataclass(frozen=True)
class ShardFile:
    """A shard on disk. Its arrays are read when they are asked for."""

    path: Path
    shard: Shard

    @classmethod
    def open(cls, path: Path) -> ShardFile:
        """The shard in a file. DataError if there is none, or it is damaged."""
        if not path.is_file():
            raise DataError(f"{path}: there is no such file; give the files that --shard wrote")
        with _reading(path):
            text = _about_npz(path) if is_zipfile(path) else _about_parquet(path)
            if text is None:
                raise DataError(f"{path} is not a shard; give the files that --shard wrote")
            found = cls(path, _parsed(text))
            found._check()
        return found

    @property
    def size(self) -> int:
        """The number of its rows."""
        return self.shard.stop - self.shard.start

    def array(self, name: str) -> np.ndarray:
        """One of its arrays, labels or ids. DataError if the file is damaged."""
        with _reading(self.path):
            found = self._of_npz(name) if is_zipfile(self.path) else self._of_parquet(name)
            layout = self.shard.layout
            draws = (layout.draws,) if layout.draws and name not in _KNOWN else ()
            if found.shape != (*draws, self.size, *layout.shapes[name]) or found.dtype.str != layout.types[name]:
                raise ValueError(f"{name} is {found.dtype} of shape {found.shape}, but its description says another")
        return found

    def _check(self) -> None:
        shard, layout = self.shard, self.shard.layout
        wrong = [it for it in layout.types.values() if np.dtype(it).kind not in _TYPES]
        if wrong or shard.index >= shard.count or not shard.start <= shard.stop <= shard.rows:
            raise ValueError("its description contradicts itself")
        if layout.types.keys() != layout.shapes.keys() or not {*layout.shown} <= layout.types.keys():
            raise ValueError("its description does not fit its arrays")

    def _of_npz(self, name: str) -> np.ndarray:
        with np.load(self.path, allow_pickle=False) as held:
            found: np.ndarray = held[name]
        return found

    def _of_parquet(self, name: str) -> np.ndarray:
        from pyarrow import parquet

        layout = self.shard.layout
        columns = self._columns(name)
        with parquet.ParquetFile(self.path) as file:
            table = file.read(columns=columns)
        dtype = np.dtype(layout.types[name])
        if name == "labels":
            place: dict[str | None, int] = {it: k for k, it in enumerate(layout.class_names or ())}
            return np.array([{**place, None: -1}[it] for it in table.column("labels").to_pylist()][: self.size], dtype)
        each = [
            np.array(it.to_pylist(), dtype) if dtype.kind == "U" else it.to_numpy() for it in map(table.column, columns)
        ]
        rows = np.stack(each, axis=1) if each else np.empty((table.num_rows, 0), dtype)
        if name == "ids":
            return rows[: self.size, 0]
        return rows.reshape(*([layout.draws] if layout.draws else []), self.size, *layout.shapes[name])

    def _columns(self, name: str) -> list[str]:
        """The names of the columns of a table that hold an array."""
        if name in _KNOWN:
            return [name]
        layout = self.shard.layout
        names, widths = header(layout.results(0)), {it: prod(layout.shapes[it]) for it in layout.shown}
        start = len(names) - sum(widths.values())
        for it, width in widths.items():
            if it == name:
                break
            start += width
        return names[start : start + widths[name]]


def concatenated(files: Sequence[ShardFile]) -> Results:
    """The results of one process, read shard by shard.

    DataError, which names the files, unless they are all shards of one result, each once.
    """
    first, *others = files
    for it in others:
        _check_alike(first, it)
    ordered = sorted(files, key=lambda it: it.shard.index)
    for one, other in pairwise(ordered):
        if one.shard.index == other.shard.index:
            raise given_twice(one.shard.index, one.shard.count, one.path, other.path)
    missing = sorted(set(range(first.shard.count)) - {it.shard.index for it in files})
    if missing:
        named = named_shards(missing, first.shard.count)
        raise DataError(f"{len(missing)} of {first.shard.count} shards are missing: {named}; give them all")
    stops = [0, *(it.shard.stop for it in ordered)]
    if stops[-1] != first.shard.rows or any(it.shard.start != at for it, at in zip(ordered, stops, strict=False)):
        raise DataError(f"the shards of {first.path} do not cover the {first.shard.rows:,} rows; compute them again")
    layout = first.shard.layout
    return layout.results(first.shard.rows, {name: _Chunks(ordered, name) for name in layout.types})


@dataclass(frozen=True)
class _Chunks:
    """An array of all shards, one shard in memory at a time. It can be read again."""

    files: Sequence[ShardFile]
    name: str

    def __iter__(self) -> Iterator[np.ndarray]:
        draws = self.files[0].shard.layout.draws
        if not draws or self.name in _KNOWN:
            return (it.array(self.name) for it in self.files)
        return (it.array(self.name)[draw] for draw in range(draws) for it in self.files)


def _check_alike(one: ShardFile, other: ShardFile) -> None:
    """DataError unless both are of one result."""
    mine, theirs = (
        {"number of shards": it.count, "number of rows": it.rows, **it.origin} for it in (one.shard, other.shard)
    )
    different = differences(mine, theirs) or differences({"arrays": one.shard.layout}, {"arrays": other.shard.layout})
    if different:
        raise DataError(
            f"{one.path} and {other.path} are not shards of one result; different are: {'; '.join(different)}. Give "
            "the shards of one command, one run and one data set"
        )


def given_twice(index: int, count: int, one: Path, other: Path) -> DataError:
    """The error for two files of one shard."""
    return DataError(f"shard {Share(index, count)} is given twice: {one} and {other}")


def named_shards(numbers: Sequence[int], count: int) -> str:
    """The names of these shards, such as "1/64, 7/64"; of many, the first 20 and the number of others."""
    more = f" and {len(numbers) - 20} more" if len(numbers) > 20 else ""
    return ", ".join(f"{it}/{count}" for it in numbers[:20]) + more


def differences(one: Mapping[str, object], other: Mapping[str, object]) -> list[str]:
    """The names whose values differ, with both values if they are short."""
    found = []
    for name in {**one, **other}:
        both = one.get(name), other.get(name)
        if both[0] != both[1]:
            found.append(f"{name} ({both[0]} and {both[1]})" if all(len(str(it)) < 30 for it in both) else name)
    return found


def _parsed(text: str) -> Shard:
    try:
        return Shard.model_validate_json(text)
    except ValidationError as error:
        raise ValueError(f"its description is invalid: {problems(error)}") from error


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn what reading a damaged file raises into a DataError that names it."""
    try:
        yield
    except DataError:
        raise
    except (ValueError, LookupError, TypeError, EOFError, OSError, BadZipFile, zlib.error) as error:
        raise DataError(f"{path} cannot be read as a shard: {error}. Compute it again") from error


def _about_npz(path: Path) -> str | None:
    with np.load(path, allow_pickle=False) as held:
        return str(held[ABOUT]) if ABOUT in held.files else None


def _about_parquet(path: Path) -> str | None:
    with path.open("rb") as file:
        if file.read(4) != b"PAR1":
            return None
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise ConfigError(
            f"{path}: .parquet needs pyarrow, which is not installed: pip install 'aaeframe[parquet]'"
        ) from error
    with parquet.ParquetFile(path) as file:
        text = (file.schema_arrow.metadata or {}).get(ABOUT.encode())
    return None if text is None else text.decode()
