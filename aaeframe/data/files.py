"""Data from a path: which reader reads what."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Final

from aaeframe.data import idx, images, mat, npy, splits, tables
from aaeframe.data.assemble import Part, assemble
from aaeframe.data.dataset import Dataset
from aaeframe.data.named import LOADERS, NAMES
from aaeframe.errors import DataError

FORMATS: Final = ".npz, .npy, .csv, .mat, *-idx3-ubyte, *-idx3-ubyte.gz, or a folder of images"


def load(source: str | Path, *, labels: str | None = None) -> Dataset:
    """A data set by its name (`NAMES`) or from a path of your own.

    Args:
        source: a name, or the path of a .npz, .npy, .csv, .mat or idx file or of a folder of images. A name
            wins over a file of the same name, which is then to be had as ./name.
        labels: the label column of a .csv, or the labels' array in a .npz or .mat; None finds it by its usual
            names (`tables.LABELS`, `keys.LABELS`).

    A path without a split of its own is split 80 : 10 : 10 by a fixed permutation (`splits.shuffled`).

    Raises:
        DataError: the data is not there, unreadable, empty, not finite, or its labels do not fit.
        DownloadError: a named data set could not be downloaded.
    """
    if isinstance(source, str) and source in NAMES:
        if labels is not None:
            raise DataError(f"{source}: has its own labels; leave labels={labels!r} out.")
        return LOADERS[source]()
    try:
        path = Path(source).expanduser()
        _check_there(path, str(source))
        return _load_folder(path, labels) if path.is_dir() else _load_file(path, labels)
    except (OSError, RuntimeError) as error:  # RuntimeError is pathlib's for a home folder that is not there
        raise DataError(f"{source}: cannot be read: {error}.") from error
    except MemoryError as error:
        raise DataError(f"{source}: does not fit into memory. Save it as .npy, which is read row by row.") from error


def _load_file(path: Path, labels: str | None) -> Dataset:
    name, suffix = str(path), path.suffix.lower()
    if suffix == ".npz":
        return assemble(name, npy.read_npz(path, labels), None)
    if suffix == ".mat":
        return assemble(name, mat.read_parts(path, labels), None)
    if suffix == ".csv":
        return assemble(name, [tables.read_csv(path, labels)], None)
    _no_labels(labels, path)
    if suffix == ".npy":
        return assemble(name, [Part(npy.map_npy(path))], None)
    if idx.is_idx(path):
        beside = idx.labels_beside(path)
        return assemble(name, [Part(idx.read(path), None if beside is None else idx.read(beside))], None)
    raise DataError(f"{path}: is of no format known by its name. Give {FORMATS}.")


def _load_folder(path: Path, labels: str | None) -> Dataset:
    _no_labels(labels, path)
    four = idx.find_four(path)
    if four is None:
        part, class_names = images.read_folder(path)
        return assemble(str(path), [part], None, class_names=class_names)
    parts = [Part(idx.read(x), idx.read(y)) for x, y in four]
    count = len(parts[0].x)
    # a sixth of MNIST's 60,000 is its 10,000
    return assemble(str(path), parts, splits.last(count, count // 6))


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


def _no_labels(labels: str | None, path: Path) -> None:
    if labels is not None:
        raise DataError(f"{path}: labels={labels!r} is for .csv, .npz and .mat only; leave it out.")
