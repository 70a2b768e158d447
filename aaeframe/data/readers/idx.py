"""The idx format of the MNIST files: a big-endian header, then the values.

The header is two zero bytes, one byte for the type of the values, one for the number of axes, then each length in four
bytes.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Mapping
from io import BufferedIOBase
from math import prod
from pathlib import Path
from typing import Final

import numpy as np

from aaeframe.configuration.reading import ReadOptions
from aaeframe.data import splits
from aaeframe.data.raw import RawData, RawPart
from aaeframe.data.readers.limits import DEFLATE_RATIO, check_declared, check_unfolding
from aaeframe.errors import DataError

NAME: Final = re.compile(r"(?P<stem>.*)[-.](?P<idx>idx\d)-(ubyte|byte|short|int|float|double)(\.gz)?$")
"""The canonical file names, as in train-images-idx3-ubyte.gz."""

TYPES: Final[Mapping[int, np.dtype]] = {
    0x08: np.dtype("u1"),
    0x09: np.dtype("i1"),
    0x0B: np.dtype(">i2"),
    0x0C: np.dtype(">i4"),
    0x0D: np.dtype(">f4"),
    0x0E: np.dtype(">f8"),
}

MOST_AXES: Final = 4
"""The largest number of axes: rows, channels, height and width."""

FOUR: Final = (
    ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
)
"""The images and labels of the training and of the test part, by MNIST's file names."""


def is_idx(path: Path) -> bool:
    """Whether the file has a name of the idx format."""
    return NAME.match(path.name) is not None


USES: Final = frozenset({"channels"})
"""The options that are used."""


def read(path: Path, options: ReadOptions) -> RawData:
    """An idx file and the labels next to it, or the four files of a folder in MNIST's layout.

    In a folder, the last sixth of the training rows is for validation, as MNIST's last 10,000 of 60,000.
    """
    four = find_four(path) if path.is_dir() else None
    if four is None:
        beside = labels_beside(path)
        return RawData([RawPart(read_array(path), None if beside is None else read_array(beside))])
    parts = [RawPart(read_array(x), read_array(y)) for x, y in four]
    count = len(parts[0].x)
    return RawData(parts, splits.last(count, count // 6))


def read_array(path: Path) -> np.ndarray:
    """The array of an idx file: read into memory if it is gzipped, otherwise mapped.

    Raises:
        DataError: the file is unreadable, not idx, or longer or shorter than its header says.
    """
    try:
        return _read_gzip(path) if path.suffix == ".gz" else _map(path)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read as idx: {error}. Fetch or write the file again.") from error


def labels_beside(images: Path) -> Path | None:
    """The labels file that belongs to an images file by its name, gzipped or not; None if it does not exist."""
    match = NAME.match(images.name)
    if match is None or "images" not in match["stem"]:
        return None
    name = images.name.removesuffix(".gz").replace("images", "labels").replace(match["idx"], "idx1")
    return _plain_or_gzipped(images.with_name(name))


def find_four(folder: Path) -> list[tuple[Path, Path]] | None:
    """The images and labels of the training and test part, if all four files of MNIST's layout exist."""
    pairs = []
    for images, labels in FOUR:
        x, y = _plain_or_gzipped(folder / images), _plain_or_gzipped(folder / labels)
        if x is None or y is None:
            return None
        pairs.append((x, y))
    return pairs


def _plain_or_gzipped(path: Path) -> Path | None:
    return next((p for p in (path, path.with_name(f"{path.name}.gz")) if p.is_file()), None)


def _read_gzip(path: Path) -> np.ndarray:
    with gzip.open(path) as stream:
        dtype, shape = _header(stream, path)
        size = check_declared(shape, dtype.itemsize, str(path))
        check_unfolding(size, path.stat().st_size, str(path))
        if size > DEFLATE_RATIO * path.stat().st_size:  # refused before allocation
            raise _wrong_length(path, size, "fewer")
        values = np.empty(shape, dtype)
        found = _fill(stream, values)
        more = bool(stream.read(1))  # gzip compares its checksum only at the end
    if found != size or more:
        raise _wrong_length(path, size, "more" if more else str(found))
    return values


def _fill(stream: BufferedIOBase, values: np.ndarray) -> int:
    view, found = values.reshape(-1).view(np.uint8).data, 0
    while count := stream.readinto(view[found : found + 2**24]):
        found += count
    return found


def _map(path: Path) -> np.ndarray:
    with path.open("rb") as stream:
        dtype, shape = _header(stream, path)
        offset = stream.tell()
    size, found = prod(shape) * dtype.itemsize, path.stat().st_size - offset
    if size != found:
        raise _wrong_length(path, size, str(found))
    return np.memmap(path, dtype, "r", offset, shape)


def _header(stream: BufferedIOBase, path: Path) -> tuple[np.dtype, tuple[int, ...]]:
    magic = stream.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in TYPES or not 1 <= magic[3] <= MOST_AXES:
        raise DataError(
            f"{path}: is not an idx file: it begins with the bytes {magic.hex(' ') or '(none)'}, where an idx "
            f"file of at most {MOST_AXES} axes has 00 00, a type from 08 to 0e, and the number of axes."
        )
    lengths = stream.read(4 * magic[3])
    if len(lengths) < 4 * magic[3]:
        raise DataError(f"{path}: the header is cut off; it declares {magic[3]} axes. Fetch or write it again.")
    shape = tuple(int(length) for length in np.frombuffer(lengths, ">u4"))
    if 0 in shape:  # numpy might otherwise find the other lengths too large
        raise DataError(f"{path}: the data is empty: its header declares the shape {shape}.")
    return TYPES[magic[2]], shape


def _wrong_length(path: Path, declared: int, found: str) -> DataError:
    return DataError(f"{path}: the header declares {declared} bytes of values, the file holds {found}. Fetch it again.")
