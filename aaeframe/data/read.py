"""Load data from a name or a path with the reader for its format."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final

import numpy as np

from aaeframe.data import splits
from aaeframe.data.assemble import RawPart, assemble, gather
from aaeframe.data.catalogue import LOADERS, NAMES
from aaeframe.data.dataset import Dataset, Split
from aaeframe.data.readers import csv as tables
from aaeframe.data.readers import idx, images, mat, npy
from aaeframe.errors import DataError
from aaeframe.storage.atomic import leads_out

TABLES: Final = (".npy", ".npz", ".csv")
FORMATS: Final = ".npz, .npy, .csv, .mat, *-idx3-ubyte, *-idx3-ubyte.gz, or a folder of images"


def load(source: str | Path, *, labels: str | None = None, held_out: tuple[int, int] | None = None) -> Dataset:
    """A data set by its name (`NAMES`) or from a path of your own.

    Args:
        source: a name, or the path of a .npz, .npy, .csv, .mat or idx file or of a folder of images. A name takes
            precedence over a file of the same name; load that file as ./name.
        labels: the label column of a .csv, or the labels' array in a .npz or .mat; None finds it by its usual
            names (`tables.LABELS`, `keys.LABELS`).
        held_out: the numbers of validation and test rows, for a path without a split of its own.

    A path without a split of its own is split 80 : 10 : 10 by a fixed permutation (`splits.shuffled`), unless
    `held_out` is given.

    Raises:
        DataError: the data is missing, unreadable, empty, not finite, or its labels do not fit.
        DownloadError: a named data set could not be downloaded.
    """
    if _is_name(source, labels):
        _no_own_split(held_out is None, source)
        return LOADERS[str(source)]()
    with _readable(source):
        content = _read(source, labels)
        cuts = content.cuts
        if held_out is not None:
            _no_own_split(cuts is None and len(content.parts) == 1, source)
            cuts = splits.shuffled(len(content.parts[0].x), str(source), held_out)
        return assemble(str(source), content.parts, cuts, class_names=content.class_names)


def load_rows(source: str | Path, *, labels: str | None = None) -> tuple[Split, tuple[str, ...] | None]:
    """All rows of a source in their order, and the names of the classes of their labels.

    Accepts what `load` accepts, but does not split: one row is enough. Classes are numbered within this source: they
    are not comparable with those of another source that has more classes.
    """
    if _is_name(source, labels):
        dataset = LOADERS[str(source)]()
        return dataset.split("all"), dataset.class_names
    with _readable(source):
        content = _read(source, labels)
        return gather(str(source), content.parts, content.class_names)


def load_table(path: str | Path) -> np.ndarray:
    """The numbers of a .npy, .npz or .csv file, float32 (N, D). Every column is data: no labels are searched.

    Raises:
        DataError: the file is missing, unreadable, empty, not finite, or not a table of rows and columns.
    """
    with _readable(path):
        file = Path(path).expanduser()
        if not file.is_file():
            raise DataError(f"there is no file {str(path)!r}. Give one of a table: {', '.join(TABLES)}.")
        suffix = file.suffix.lower()
        if suffix not in TABLES:
            raise DataError(f"{path}: is not a table by its name. Give {', '.join(TABLES)}.")
        if suffix == ".csv":
            parts = [tables.read_csv(file, None, find_labels=False)]
        else:
            parts = [RawPart(npy.map_npy(file))] if suffix == ".npy" else npy.read_npz(file, None)
        rows, _ = gather(str(path), [RawPart(part.x) for part in parts])
        if len(rows.shape) != 1:
            raise DataError(f"{path}: has rows of shape {rows.shape}. A table is (rows, columns): flatten each row.")
        return rows.array().astype(np.float32, copy=False)


@dataclass(frozen=True)
class Content:
    """The content of a path."""

    parts: Sequence[RawPart]
    cuts: splits.Cuts | None = None
    """The rows of each split, if the format defines them."""
    class_names: tuple[str, ...] | None = None


@contextmanager
def _readable(source: str | Path) -> Iterator[None]:
    """Turn an error of the operating system into a DataError that names the source."""
    try:
        yield
    except (OSError, RuntimeError) as error:  # pathlib raises RuntimeError for a missing home folder
        raise DataError(f"{source}: cannot be read: {error}.") from error
    except MemoryError as error:
        raise DataError(f"{source}: does not fit into memory. Save it as .npy, which is read row by row.") from error


def _is_name(source: str | Path, labels: str | None) -> bool:
    named = isinstance(source, str) and source in NAMES
    if named and labels is not None:
        raise DataError(f"{source}: has its own labels; leave labels={labels!r} out.")
    return named


def _read(source: str | Path, labels: str | None) -> Content:
    path = Path(source).expanduser()
    _check_there(path, str(source))
    return _read_folder(path, labels) if path.is_dir() else _read_file(path, labels)


def _read_file(path: Path, labels: str | None) -> Content:
    suffix = path.suffix.lower()
    if suffix == ".npz":
        return Content(npy.read_npz(path, labels))
    if suffix == ".mat":
        return Content(mat.read_parts(path, labels))
    if suffix == ".csv":
        return Content([tables.read_csv(path, labels)])
    _no_labels(labels, path)
    if suffix == ".npy":
        return Content([RawPart(npy.map_npy(path))])
    if idx.is_idx(path):
        beside = idx.labels_beside(path)
        return Content([RawPart(idx.read(path), None if beside is None else idx.read(beside))])
    raise DataError(f"{path}: has an unknown format, by its name. Give {FORMATS}.")


def _read_folder(path: Path, labels: str | None) -> Content:
    _no_labels(labels, path)
    four = idx.find_four(path)
    if four is None:
        part, class_names = images.read_folder(path)
        return Content([part], None, class_names)
    for file in chain.from_iterable(four):
        if leads_out(file, path):
            raise DataError(f"{file}: is a link that leads out of {path}. Copy what it points to into the folder.")
    parts = [RawPart(idx.read(x), idx.read(y)) for x, y in four]
    count = len(parts[0].x)
    # a sixth of MNIST's 60,000 rows are its usual 10,000
    return Content(parts, splits.last(count, count // 6))


def _check_there(path: Path, asked: str) -> None:
    if not path.exists():
        near = difflib.get_close_matches(asked.lower(), NAMES, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise DataError(
            f"there is no data set and no file {asked!r}.{hint} Names are {', '.join(NAMES)}; paths are of {FORMATS}."
        )
    if not path.is_dir() and not path.is_file():
        raise DataError(f"{path}: is neither a file nor a folder. Give {FORMATS}.")
    if path.is_file() and path.stat().st_size == 0:
        raise DataError(f"{path}: the file is empty.")


def _no_own_split(holds: bool, source: str | Path) -> None:
    if not holds:
        raise DataError(f"{source}: has its own split into training and test rows; leave held_out out.")


def _no_labels(labels: str | None, path: Path) -> None:
    if labels is not None:
        raise DataError(f"{path}: labels={labels!r} is for .csv, .npz and .mat only; leave it out.")
