"""NumPy's file formats: .npy, which is mapped, .npz, and folders of .npy files. Pickled objects are never loaded."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import IO, Any, Final

import numpy as np

from aaeframe.configuration.reading import ReadOptions
from aaeframe.data import splits
from aaeframe.data.raw import RawData, RawPart
from aaeframe.data.readers.folders import NUMBERS, Unchanged, find_parts, fingerprint
from aaeframe.data.readers.keys import Choice, Held, as_ids, as_texts, chosen, labels_from, passed_over, pick
from aaeframe.data.readers.limits import check_declared, check_unfolding
from aaeframe.data.sources import CHUNK_BYTES, StoredRows
from aaeframe.errors import DataError

HEADERS: Final = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
"""The readers of the header by version. Version 3.0 differs in the names of record fields only."""

OBJECTS: Final = (
    "holds Python objects, which are never loaded. Save numbers or texts: `x.astype(float)` or `labels.astype(str)`, "
    "with an empty text for no label."
)


def read_npy(path: Path, options: ReadOptions) -> RawData:
    """The array of a .npy file, mapped: see `map_npy`."""
    return RawData([RawPart(map_npy(path))])


def map_npy(path: Path, *, may_be_empty: bool = False) -> np.ndarray:
    """The array of a .npy file, mapped read-only: rows are read when requested. One without rows is not mapped.

    Raises:
        DataError: the file is not .npy, is shorter or longer than its header says, or holds Python objects.
    """
    try:
        with path.open("rb") as stream:
            shape, dtype = _header(stream, str(path))
            size, found = prod(shape) * dtype.itemsize, path.stat().st_size - stream.tell()
        if size == 0 and may_be_empty and shape[:1] == (0,):
            return np.empty(shape, dtype)
        if size == 0:
            raise DataError(f"{path}: the data is empty: its shape is {shape}.")
        _check_length(str(path), shape, dtype, found)
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: cannot be read as .npy: {error}. Write it again.") from error


def read_npz(path: Path, options: ReadOptions) -> RawData:
    """The parts of an .npz file, by the names of its arrays (`keys.pick`). Other arrays are not read.

    Raises:
        DataError: the file is unreadable, its data is too large or of Python objects, or cannot be identified.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = {
                member.filename.removesuffix(".npy"): member
                for member in archive.infolist()
                if member.filename.endswith(".npy")
            }
            others = len(archive.infolist()) - len(members)
            held = {name: _held(archive, member) for name, member in members.items()}
            choices = pick(held, options, str(path))
            for name in chosen(choices):
                _check_size(archive, members[name], path)
            parts = [_part(archive, choice, path) for choice in choices]
    except (DataError, MemoryError):
        raise
    except Exception as error:  # zipfile and its decompressors fail in many ways on a broken archive
        why = str(error) or type(error).__name__
        raise DataError(f"{path}: cannot be read as .npz: {why}. Write it again.") from error
    over = passed_over(held, chosen(choices))
    if others:
        over += ("1 member that is no array" if others == 1 else f"{others} members that are no arrays",)
    return RawData(parts, labels_from=labels_from(choices), passed_over=over)


def _part(archive: zipfile.ZipFile, choice: Choice, path: Path) -> RawPart:
    labels = None if choice.labels is None else _read(archive, choice.labels)
    ids = None if choice.ids is None else _read(archive, choice.ids)
    return RawPart(
        _read(archive, choice.data),
        None if labels is None else as_texts(labels, f"{path}: {choice.labels}"),
        None if ids is None else as_ids(ids, f"{path}: {choice.ids}"),
    )


def _held(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Held:
    """The declaration in the header of an array. One that cannot be read is no reason to refuse the others."""
    try:
        with archive.open(member) as stream:
            shape, dtype = _declared(stream, member.filename)
    except DataError as error:
        return Held((), "a form that cannot be read", problem=str(error))
    if dtype.hasobject:
        return Held(shape, "Python objects", problem=f"{member.filename}: {OBJECTS}")
    return Held(shape, texts=dtype.kind in "US")


def _check_size(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> None:
    where = f"{path}: {member.filename}"
    with archive.open(member) as stream:
        shape, dtype = _header(stream, where)
        found = member.file_size - stream.tell()
    size = check_declared(shape, dtype.itemsize, where)
    check_unfolding(size, member.compress_size, where)
    _check_length(where, shape, dtype, found)


def _read(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    with archive.open(f"{name}.npy") as stream:
        return np.lib.format.read_array(stream, allow_pickle=False)


def _declared(stream: IO[bytes], where: str) -> tuple[tuple[int, ...], np.dtype]:
    try:
        version = np.lib.format.read_magic(stream)
        if version not in HEADERS:
            raise ValueError(f"it is of the format's version {version[0]}.{version[1]}")
        shape, _, dtype = HEADERS[version](stream)
    except Exception as error:  # numpy evaluates the header as a Python literal, which fails in many ways
        why = str(error) or type(error).__name__
        raise DataError(f"{where}: is not a .npy array: {why}. Write it again.") from error
    if any(length < 0 for length in shape):
        raise DataError(f"{where}: the header declares the shape {shape}; lengths cannot be negative.")
    return shape, dtype


def _header(stream: IO[bytes], where: str) -> tuple[tuple[int, ...], np.dtype]:
    shape, dtype = _declared(stream, where)
    if dtype.hasobject:
        raise DataError(f"{where}: {OBJECTS}")
    return shape, dtype


def _check_length(where: str, shape: tuple[int, ...], dtype: np.dtype, found: int) -> None:
    """DataError unless as many bytes follow the header as it declares."""
    size = prod(shape) * dtype.itemsize
    if found < size:
        raise DataError(f"{where}: the header declares {shape} {dtype}, only {found} bytes follow. Write it again.")
    if found > size:
        raise DataError(
            f"{where}: {found - size} bytes follow the array {shape} {dtype}, as after several np.save into one file. "
            "Save each array in a file of its own, or all in one .npz by np.savez(path, x=x, y=y)."
        )


def read_shards(path: Path, options: ReadOptions) -> RawData:
    """The rows of the .npy files of a folder, one file after another, which stay in them.

    DataError if they differ in shape or type, or if their names differ in more than numbers.
    """
    found = find_parts(path, [".npy"])
    sources = [NpyShards(files) for files in found.files.values()]
    return RawData(
        [RawPart(StoredRows(it)) for it in sources],
        splits.without_test([*found.files], [it.shape[0] for it in sources]),
        passed_over=found.passed_over,
    )


class NpyShards:
    """Rows of .npy files of one shape and type."""

    def __init__(self, files: Sequence[Path]) -> None:
        _check_shards(files)
        self._files, self._unchanged, self.files = files, Unchanged(files), len(files)
        arrays: list[Any] = [map_npy(file, may_be_empty=True) for file in files]
        first = arrays[0]
        for file, array in zip(files, arrays, strict=True):
            if array.ndim == 0 or array.shape[1:] != first.shape[1:] or array.dtype != first.dtype:
                raise DataError(
                    f"{file}: holds {array.shape} {array.dtype}, and {files[0].name} {first.shape} {first.dtype}. "
                    "Shards have rows of one shape and type."
                )
            if not array.flags.c_contiguous:
                raise DataError(f"{file}: is in Fortran order. Write it again from np.ascontiguousarray(x).")
        if not any(map(len, arrays)):
            raise DataError(f"{files[0]}: the data is empty. Give at least one row.")
        self._offsets = [int(getattr(array, "offset", 0)) for array in arrays]  # without rows it is not mapped
        self.dtype = first.dtype
        self._row_bytes = self.dtype.itemsize * int(np.prod(first.shape[1:]))
        step = max(1, -(-CHUNK_BYTES // max(1, self._row_bytes)))
        self._places = [(i, at) for i, array in enumerate(arrays) for at in range(0, len(array), step)]
        starts = np.cumsum([0, *map(len, arrays)])
        self.bounds = np.array([*(starts[i] + at for i, at in self._places), starts[-1]])
        self.shape = (int(starts[-1]), *first.shape[1:])

    @property
    def fingerprint(self) -> str:
        """A digest of the files as they are now."""
        return fingerprint(self._files)

    def read(self, chunk: int) -> np.ndarray:
        """The rows of a chunk. DataError if the file is gone or has changed."""
        place, start = self._places[chunk]
        file, rows = self._files[place], int(self.bounds[chunk + 1] - self.bounds[chunk])
        try:
            self._unchanged.check(place)
            with file.open("rb") as stream:  # not mapped: pages of a file that were read count as memory
                stream.seek(self._offsets[place] + start * self._row_bytes)
                found = np.fromfile(stream, self.dtype, rows * int(np.prod(self.shape[1:])))
            return found.reshape(rows, *self.shape[1:])
        except (OSError, ValueError) as error:
            raise DataError(f"{file}: rows from {start} on cannot be read: {error}. Restore the file.") from error


def _check_shards(files: Sequence[Path]) -> None:
    """DataError if names differ by more than numbers, as those of data and labels."""
    patterns = {NUMBERS.sub("0", file.stem): file.name for file in files}
    if len(patterns) > 1:
        names = " and ".join(list(patterns.values())[:2])
        raise DataError(
            f"{files[0].parent}: the names of shards differ by numbers alone, found {names}. Give one file by its "
            "path, or move other files out of the folder."
        )
