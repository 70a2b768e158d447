"""Arrays with a row for each row of data, written as .npz, .npy, .csv or .parquet."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from math import prod
from tempfile import TemporaryFile
from typing import IO, Any, Final

import numpy as np

from aaeframe.errors import ConfigError
from aaeframe.storage.npz import StoredArray, write_npy, write_npz
from aaeframe.storage.output import Output

SUFFIXES: Final = (".npz", ".npy", ".csv", ".parquet")
ABOUT: Final = "aaeframe.shard"
"""The name of the text that is kept next to the arrays: no block has a dot in its name."""
CELLS: Final = 2**16
"""The number of cells of a table that are converted to text at a time."""
_SPECIAL: Final = frozenset(",;|#\"'\t\r\n")
"""Characters for which a text is put in quotes: those that a reader could take for a separator or a comment."""


@dataclass(frozen=True, eq=False)
class Results:
    """The arrays that a command writes, by name, and what is known of their rows."""

    arrays: Mapping[str, StoredArray]
    """Each (N, ...), or (draws, N, ...) if `draws`; numbers, or texts in an array in memory."""
    shown: Sequence[str]
    """The names of the arrays that a table holds, and .npy if it is one."""
    columns: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """The names of the columns of arrays that have names; others have <array>_1, <array>_2 ..."""
    labels: StoredArray | None = None
    """(N,) class indices, -1 for a row without a label."""
    class_names: Sequence[str] | None = None
    ids: StoredArray | None = None
    """(N,) the names of the rows."""
    draws: int = 0
    """The number of draws on the first axis; 0 if there is none."""
    flat: bool = True
    """Whether a table may hold the arrays; False for images and series."""

    def __post_init__(self) -> None:
        if missing := [name for name in self.shown if name not in self.arrays]:
            raise KeyError(f"{missing} are no arrays of the results")

    @property
    def all(self) -> dict[str, StoredArray]:
        """Every array by name, as .npz holds them: labels, class_names and ids come last."""
        found = dict(self.arrays)
        if self.labels is not None:
            found |= {"labels": self.labels, "class_names": np.array(self.class_names or [])}
        return found if self.ids is None else {**found, "ids": self.ids}

    def first(self, count: int) -> Results:
        """The results of the first rows alone, of arrays in memory."""

        def cut(name: str, array: StoredArray | None) -> Any:
            if not isinstance(array, np.ndarray):
                return array
            return array[:, :count] if self.draws and name in self.arrays else array[:count]

        arrays = {name: cut(name, array) for name, array in self.arrays.items()}
        return replace(self, arrays=arrays, labels=cut("", self.labels), ids=cut("", self.ids))

    def left_out(self, suffix: str) -> list[str]:
        """The names of the arrays that a format does not hold."""
        if suffix == ".npz":
            return []
        hidden = [name for name in self.arrays if name not in self.shown]
        return hidden if suffix != ".npy" else [name for name in self.all if name not in self.shown]


def write(output: Output, results: Results, about: str | None = None) -> str:
    """Write results in the format of the destination: on a stream without one, csv, or npz for images. Return it.

    `about` is a text that .npz and .parquet keep next to the arrays, under the name `ABOUT`.
    ConfigError if the format cannot hold them, before anything is written. RunError if it cannot be written.
    """
    suffix = output.suffix or (".csv" if results.flat else ".npz")
    _check(output, suffix, results)
    if suffix == ".parquet":
        _write_parquet(output, results, about)
        return suffix
    with output.writing() as file:
        if suffix == ".npz":
            write_npz(file, results.all if about is None else {**results.all, ABOUT: np.array(about)})
        elif suffix == ".npy":
            write_npy(file, results.arrays[results.shown[0]])
        else:
            _write_csv(file, results)
    return suffix


def _check(output: Output, suffix: str, results: Results) -> None:
    """ConfigError if a format cannot hold the results."""
    names = ", ".join(results.shown)
    if suffix == ".npy" and len(results.shown) > 1:
        raise ConfigError(f"{output}: .npy holds one array, and there are {names}; give .npz, which holds them all")
    if suffix in (".csv", ".parquet") and not results.flat:
        shapes = ", ".join(f"{name} {tuple(results.arrays[name].shape)}" for name in results.shown)
        raise ConfigError(
            f"{output}: {suffix} is a table, and the rows of {shapes} are images or series; give .npz or .npy (with "
            "--format npz or npy for standard output, pipes and devices)"
        )


def header(results: Results) -> list[str]:
    """The names of a table's columns: ids and labels, then those of the data.

    Names that would occur twice, or a header of numbers alone, get the name of their array before them.
    """
    first = [name for name in ("ids", "labels") if getattr(results, name) is not None]
    first += ["draw"] if results.draws else []
    parts = {name: _columns_of(results, name) for name in results.shown}
    names = [*first, *chain.from_iterable(parts.values())]
    if max(Counter(names).values()) == 1 and not all(map(_is_number, names)):
        return names
    taken = Counter(names)
    clear = [
        name if name.startswith(f"{array}_") or (taken[name] == 1 and not _is_number(name)) else f"{array}_{name}"
        for array, part in parts.items()
        for name in part
    ]
    return [*first, *clear]


def _columns_of(results: Results, name: str) -> Sequence[str]:
    width = prod(_row_shape(results, name))
    return results.columns.get(name) or [f"{name}_{k + 1}" for k in range(width)]


def _row_shape(results: Results, name: str) -> tuple[int, ...]:
    return tuple(results.arrays[name].shape[2 if results.draws else 1 :])


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


@dataclass(frozen=True, eq=False)
class _Piece:
    """Some rows of a table."""

    known: list[list[Any]]
    """The cells of ids, labels and draw, each of n rows; None for a row without a label."""
    parts: list[np.ndarray]
    """(n, D) each, in the order of `shown`."""


class _Reader:
    """The rows of an array from front to back, however its chunks are cut."""

    def __init__(self, array: StoredArray) -> None:
        self._chunks = iter([array] if isinstance(array, np.ndarray) else array.chunks)
        self._left: np.ndarray | None = None

    def rows(self, count: int) -> np.ndarray:
        """The next rows, at least one."""
        parts: list[np.ndarray] = []
        while count:
            chunk = next(self._chunks) if self._left is None else self._left
            parts.append(chunk[:count])
            self._left = chunk[count:] if len(chunk) > count else None
            count -= len(parts[-1])
        return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _pieces(results: Results) -> Iterator[_Piece]:
    """The rows of a table in order, draw after draw, a few at a time."""
    arrays = [results.arrays[name] for name in results.shown]
    count = arrays[0].shape[1 if results.draws else 0]
    size = max(1, CELLS // max(1, sum(prod(_row_shape(results, name)) for name in results.shown)))
    readers = [
        _Reader(it.reshape(-1, *it.shape[2:]) if results.draws and isinstance(it, np.ndarray) else it) for it in arrays
    ]
    for draw in range(results.draws or 1):
        ids, labels = (None if it is None else _Reader(it) for it in (results.ids, results.labels))
        for start in range(0, count, size):
            rows = min(size, count - start)
            known = [] if ids is None else [ids.rows(rows).tolist()]
            known += [] if labels is None else [_names(labels.rows(rows), results.class_names)]
            known += [[draw + 1] * rows] if results.draws else []
            yield _Piece(known, [it.rows(rows).reshape(rows, -1) for it in readers])


def _names(labels: np.ndarray, class_names: Sequence[str] | None) -> list[str | None]:
    names = [*(class_names or ()), None]
    return [names[label] for label in labels]


def _write_csv(file: IO[bytes], results: Results) -> None:
    """Write UTF-8 with a header. Each number has the fewest digits that read back to its bits."""
    file.write(_line(map(_cell, header(results))))
    for piece in _pieces(results):
        first = [list(map(_cell, cells)) for cells in piece.known]
        cells = [_texts(part) for part in piece.parts]
        file.write(b"".join(map(_line, zip(*first, *chain.from_iterable(cells), strict=True))))


def _texts(part: np.ndarray) -> list[list[str]]:
    """The cells of each column of (n, D) numbers or texts."""
    columns: list[list[str]] = part.astype(np.str_).T.tolist()
    return [list(map(_cell, it)) for it in columns] if part.dtype.kind == "U" else columns


def _line(cells: Iterable[str]) -> bytes:
    return (",".join(cells) + "\n").encode()


def _cell(value: Any) -> str:
    """A cell of text, in quotes where a reader could take it for something else; empty for None."""
    text = "" if value is None else str(value)
    plain = _SPECIAL.isdisjoint(text) and text == text.strip()
    return text if plain else '"' + text.replace('"', '""') + '"'


def _write_parquet(output: Output, results: Results, about: str | None) -> None:
    """Write columns of their own types: numbers as they are, ids and labels as texts or whole numbers."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise ConfigError(
            f"{output}: .parquet needs pyarrow, which is not installed: pip install 'aaeframe[parquet]', or give .csv"
        ) from error

    def kind(array: StoredArray) -> Any:
        return pyarrow.string() if array.dtype.kind == "U" else pyarrow.from_numpy_dtype(array.dtype)

    names = header(results)
    fields = [
        *([] if results.ids is None else [kind(results.ids)]),
        *([] if results.labels is None else [pyarrow.string()]),
        *([pyarrow.int64()] if results.draws else []),
    ]
    for name in results.shown:
        fields += [kind(results.arrays[name])] * prod(_row_shape(results, name))
    schema = pyarrow.schema(list(zip(names, fields, strict=True)), metadata=None if about is None else {ABOUT: about})
    # In a file of its own first, as a pipe cannot tell the position that the format asks for.
    with TemporaryFile() as whole:
        with parquet.ParquetWriter(whole, schema) as writer:
            for piece in _pieces(results):
                columns = [*piece.known, *chain.from_iterable(part.T for part in piece.parts)]
                arrays = [pyarrow.array(it, kind) for it, kind in zip(columns, fields, strict=True)]
                writer.write_table(pyarrow.Table.from_arrays(arrays, schema=schema))
        whole.seek(0)
        with output.writing() as file:
            shutil.copyfileobj(whole, file)
