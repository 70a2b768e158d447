"""Load data from a name or a path with the reader for its format."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from aaeframe.components.registry import Registry
from aaeframe.configuration.data_sets import data_sets
from aaeframe.configuration.reading import ReadOptions, read_options
from aaeframe.data.assemble import assemble, gather
from aaeframe.data.columns import Known
from aaeframe.data.dataset import AllRows, Dataset
from aaeframe.data.named import NamedData, opened
from aaeframe.data.raw import RawData
from aaeframe.data.readers import idx, images, mat, npy, objects, tables
from aaeframe.data.readers.folders import ARROW_SUFFIXES, holds
from aaeframe.errors import DataError
from aaeframe.storage.text import plural

TABLES: Final = (".npy", ".npz", *tables.SUFFIXES)
FORMATS: Final = (
    ".npz, .npy, .csv, .tsv, .txt (these three with .gz, .bz2, .xz or .zip, too), .parquet, .pq, .arrow, .feather, "
    ".ipc, .h5ad, .mat, *-idx3-ubyte or *.idx3-ubyte (these two with .gz or .xz, too), an image file, or a folder of "
    "images, of .parquet or .arrow files, or of .npy shards"
)
ALWAYS: Final = frozenset({"held_out", "scale"})
"""Options for every file and folder; the others are those that a reader uses."""


def _read_arrow(path: Path, options: ReadOptions) -> RawData:
    """The rows of Parquet and Arrow files. DataError if pyarrow is missing."""
    _check_installed(path, "pyarrow", "parquet", ".csv or .npy")
    from aaeframe.data.readers import arrow

    return arrow.read(path, options)


def _read_h5ad(path: Path, options: ReadOptions) -> RawData:
    """The rows of an .h5ad file. DataError if anndata is missing."""
    _check_installed(path, "anndata", "h5ad", ".npy")
    from aaeframe.data.readers import h5ad

    return h5ad.read(path, options)


def _check_installed(path: Path, library: str, extra: str, others: str) -> None:
    try:
        import_module(library)
    except ImportError as error:
        raise DataError(
            f"{path}: is read by {library}, which is not installed: pip install 'aaeframe[{extra}]', or convert it to "
            f"{others}."
        ) from error


class Reader(NamedTuple):
    """A format."""

    name: str
    uses: Set[str]
    """The options of `ReadOptions` that it uses."""
    read: Callable[[Any, ReadOptions], RawData]


CSV: Final = Reader("tables", objects.TABLES | {"header", "encoding", "separator", "decimal"}, tables.read)
NPY: Final = Reader(".npy", objects.ARRAYS, npy.read_npy)
NPZ: Final = Reader(".npz", objects.NAMED, npy.read_npz)
MAT: Final = Reader(".mat", objects.NAMED | {"rows"}, mat.read)
IDX: Final = Reader("idx", objects.ARRAYS, idx.read)
IMAGES: Final = Reader("images", {"frames", "image_size"}, images.read)
ARROW: Final = Reader("Parquet and Arrow", objects.TABLES, _read_arrow)
SHARDS: Final = Reader("shards", objects.ARRAYS, npy.read_shards)
H5AD: Final = Reader(".h5ad", {"label_key"}, _read_h5ad)


def load(
    source: Any,
    options: ReadOptions | None = None,
    *,
    known: Known | None = None,
    registry: Registry | None = None,
    **given: Any,
) -> Dataset:
    """A data set by its name (`data_sets()`), from a path of your own, or from an object.

    Args:
        source: a name, with options as in "pinwheel(noise=0.1)" if it has some; or the path of a table (.csv, .tsv or
            .txt, packed or not), of a .parquet, .arrow, .feather, .h5ad, .npz, .npy, .mat, idx or image file, or of a
            folder of images, of Parquet or Arrow files, or of .npy shards. A name takes precedence over a file of the
            same name; load that file as ./name. Or an object: see
            `aaeframe.data.readers.objects.TAKEN`.
        options: how it is read.
        known: the columns of a training, to which those of a table are brought.
        registry: the installed plugins, which offer the names; loaded if not given.
        given: the options one by one, in place of `options`: see `ReadOptions`.

    A path without a split of its own is split 80 : 10 : 10 by a fixed permutation (`splits.shuffled`), unless
    `held_out` is given.

    Raises:
        DataError: the data is missing, unreadable, empty, not finite, or its labels do not fit.
        ConfigError: an option is unknown or wrong.
        DownloadError: a named data set could not be downloaded.
        ComponentError, OptionError: a name is ambiguous, its options do not fit, or its factory fails.
    """
    options, source = options or read_options(**given), opened(source, registry)
    dataset = _complete(source, options)
    if dataset is not None:
        return dataset
    with _readable(source):
        return assemble(name_of(source), _read(source, options, registry), options, known=known)


def load_rows(
    source: Any,
    options: ReadOptions | None = None,
    *,
    known: Known | None = None,
    registry: Registry | None = None,
    check: bool = True,
    **given: Any,
) -> AllRows:
    """All rows of a source in their order, with the names of classes and columns.

    Accepts what `load` accepts, but does not split: one row is enough. Classes are numbered within this source: they
    are not comparable with those of another source that has more classes. With `known`, the columns of a table
    are brought to those of a training, and its means are filled in with `missing="mean"`. Without `check`, rows of a
    mapped file are not read, and may be not finite.
    """
    options, source = options or read_options(**given), opened(source, registry)
    dataset = _complete(source, options)
    if dataset is not None:
        return AllRows(dataset.split("all"), dataset.class_names, dataset.columns, dataset.reading)
    with _readable(source):
        return gather(name_of(source), _read(source, options, registry), options, known, check=check)


def name_of(source: Any) -> str:
    """The name of a source in messages: its path, that of a named data set, or the type of an object."""
    if isinstance(source, NamedData):
        return source.name
    return str(source) if isinstance(source, str | Path) else objects.name_of(source)


def usable(source: Any, options: ReadOptions) -> ReadOptions:
    """The options that the format of a source uses, without the ones for splits and scale.

    A name must be `opened` before.
    """
    if isinstance(source, NamedData) and isinstance(source.value, Dataset):
        return ReadOptions()
    _, reader = _opened(source)
    uses = reader.uses
    return ReadOptions(**{name: value for name, value in options.given.items() if name in uses})


def load_table(path: str | Path) -> np.ndarray:
    """The numbers of a .npy, .npz, .csv, .tsv or .txt file (N, D): float32, or float64 where that would lose digits.

    Every column is data: no labels are searched.

    Raises:
        DataError: the file is missing, unreadable, empty, not finite, or not a table of rows and columns.
    """
    with _readable(path):
        file = Path(path).expanduser()
        if not file.is_file():
            raise DataError(f"there is no file {str(path)!r}. Give one of a table: {', '.join(TABLES)}.")
        if file.suffix.lower() not in TABLES and not tables.is_table(file):
            raise DataError(f"{path}: is not a table by its name. Give {', '.join(TABLES)}.")
        reader = reader_of(file)
        found = (
            tables.read(file, ReadOptions(), find_labels=False) if reader == CSV else reader.read(file, ReadOptions())
        )
        rows = gather(str(path), found, ReadOptions(channels="none")).rows  # so that images are told by their shape
        if len(rows.shape) != 1:
            raise DataError(f"{path}: has rows of shape {rows.shape}. A table is (rows, columns): flatten each row.")
        return rows.array().astype(np.result_type(rows.dtype, np.float32), copy=False)


def reader_of(path: Path) -> Reader:
    """The reader of a file or folder, by its name. DataError if there is none."""
    if path.is_dir():
        return _reader_of_folder(path)
    suffix = path.suffix.lower()
    known = {".npz": NPZ, ".mat": MAT, ".npy": NPY, ".h5ad": H5AD, **dict.fromkeys(ARROW_SUFFIXES, ARROW)}
    if suffix in known:
        return known[suffix]
    if idx.is_idx(path):
        return IDX
    if images.is_image(path):
        return IMAGES
    if tables.is_table(path):
        return CSV
    raise DataError(f"{path}: has an unknown format, by its name. Give {FORMATS}.")


def _reader_of_folder(path: Path) -> Reader:
    """The reader of a folder, by its files. DataError if two could read it."""
    if idx.holds_idx(path):
        return IDX
    kinds = {ARROW: ARROW_SUFFIXES, SHARDS: (".npy",)}
    found = [reader for reader, suffixes in kinds.items() if holds(path, suffixes)]
    if len(found) > 1:
        raise DataError(f"{path}: holds .npy files and files of Parquet or Arrow. Leave one kind in the folder.")
    holds_images = images.holds_images(path)
    if holds_images and found == [ARROW]:
        raise DataError(
            f"{path}: holds images and files of Parquet or Arrow. Leave one kind in the folder, or give the path of a "
            "file, or of the folder of the images."
        )
    if not holds_images and not found:
        _refuse_deeper(path, (*ARROW_SUFFIXES, ".npy"))
    return found[0] if found and not holds_images else IMAGES


def _refuse_deeper(path: Path, suffixes: Sequence[str]) -> None:
    """DataError that names the folder, if files of rows are in folders below this one, from which none are read."""
    below = sorted(it for it in path.iterdir() if it.is_dir() and holds(it, suffixes))
    if below:
        raise DataError(
            f"{path}: holds no rows itself; {plural(len(below), 'folder')} in it do. Give one of these, as {below[0]}, "
            "or move the files together. Folders are read as splits if they are named train, val and test."
        )


@contextmanager
def _readable(source: Any) -> Iterator[None]:
    """Turn an error of the operating system into a DataError that names the source."""
    try:
        yield
    except (OSError, RuntimeError) as error:  # pathlib raises RuntimeError for a missing home folder
        raise DataError(f"{name_of(source)}: cannot be read: {error}.") from error
    except MemoryError as error:
        raise DataError(
            f"{name_of(source)}: does not fit into memory. Save it as .npy, which is read row by row."
        ) from error


def _complete(source: Any, options: ReadOptions) -> Dataset | None:
    """The data set of a name whose factory has read it; DataError with options for reading, which come too late."""
    if not isinstance(source, NamedData) or not isinstance(source.value, Dataset):
        return None
    if options.given:
        raise DataError(f"{source.name}: is read in its own way; leave {', '.join(options.given)} out.")
    return source.value


def _read(source: Any, options: ReadOptions, registry: Registry | None) -> RawData:
    given, reader = _opened(source, registry)
    unused = [name for name in options.given if name not in reader.uses | ALWAYS]
    if unused:
        raise DataError(
            f"{name_of(source)}: {', '.join(unused)} is not used for {reader.name}; leave it out. Options there are "
            f"{', '.join(sorted(reader.uses | ALWAYS))}."
        )
    return reader.read(given, options)


def _opened(source: Any, registry: Registry | None = None) -> tuple[Any, Reader]:
    """The path, or the object, and its reader."""
    source = source.value if isinstance(source, NamedData) else source
    if not isinstance(source, str | Path):
        return source, Reader(*objects.kind_of(source))
    if not str(source).strip():  # as a path it would be the current folder
        raise DataError("the name of the data is empty. Give the name of a data set, or a path; . is this folder.")
    path = Path(source).expanduser()
    _check_there(path, str(source), registry)
    return path, reader_of(path)


def _check_there(path: Path, asked: str, registry: Registry | None) -> None:
    if not path.exists():
        registry = registry or Registry.load()
        names, inactive = data_sets(registry), [str(it) for it in registry.plugins if it.status != "active"]
        near = difflib.get_close_matches(asked.partition("(")[0].lower(), names, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        more = f" It may be in a plugin that is not active: {'; '.join(inactive)}." if inactive else ""
        raise DataError(
            f"there is no data set and no file {asked!r}.{hint} Names are {', '.join(names)}; paths are of {FORMATS}."
            f"{more}"
        )
    if not path.is_dir() and not path.is_file():
        raise DataError(f"{path}: is neither a file nor a folder. Give {FORMATS}.")
    if path.is_file() and path.stat().st_size == 0:
        raise DataError(f"{path}: the file is empty.")
