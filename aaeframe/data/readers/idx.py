"""The idx format of the MNIST files: a big-endian header, then the values.

The header is two zero bytes, one byte for the type of the values, one for the number of axes, then each length in four
bytes.
"""

from __future__ import annotations

import gzip
import lzma
import re
import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
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
from aaeframe.storage.atomic import leads_out
from aaeframe.storage.text import listed, plural

NAME: Final = re.compile(
    r"((?P<stem>.*?)[-._])?idx(?P<axes>\d?)([-._](ubyte|byte|short|int|float|double))?(\.gz|\.xz)?", re.IGNORECASE
)
"""The file names, as train-images-idx3-ubyte.gz and train-images.idx3-ubyte."""

ROLES: Final[Mapping[str, str]] = {
    **dict.fromkeys(("images", "image", "imgs", "patterns"), "images"),
    **dict.fromkeys(("labels", "label", "targets"), "labels"),
}
"""The words in names that say what a file holds. Without one, a file of one axis holds labels."""

PARTS: Final = {**splits.WORDS, "t10k": "test"}
"""The words in names that mean a part of the data."""

TYPES: Final[Mapping[int, np.dtype]] = {
    0x08: np.dtype("u1"),
    0x09: np.dtype("i1"),
    0x0B: np.dtype(">i2"),
    0x0C: np.dtype(">i4"),
    0x0D: np.dtype(">f4"),
    0x0E: np.dtype(">f8"),
}

MOST_AXES: Final = 5
"""The largest number of axes: rows, channels, depth, height and width."""

QMNIST: Final = 8
"""The columns of QMNIST's labels, of which the first is the class."""


@dataclass(frozen=True)
class Named:
    """The parts of an idx file's name."""

    path: Path
    role: str
    """images or labels."""
    part: str | None
    """train, validation or test, if it is a part."""
    set: str
    """The rest of the name, as emnist-letters."""
    axes: str
    """The number of axes, or nothing."""
    words: tuple[str, ...]
    """The words of the name, in lower case."""

    @property
    def plain(self) -> str:
        """The name without the ending of a compressed file."""
        return self.path.stem if self.is_compressed else self.path.name

    @property
    def is_compressed(self) -> bool:
        """Whether it is compressed by gzip or xz, by its name."""
        return self.path.suffix.lower() in (".gz", ".xz")


def named(path: Path) -> Named | None:
    """The parts of a file's name; None if it is no name of the idx format."""
    match = NAME.fullmatch(path.name)
    if match is None:
        return None
    words = [word for word in re.split(r"[-._ ]+", match["stem"] or "") if word]
    known = tuple(word.lower() for word in words)
    role = next((ROLES[word] for word in known if word in ROLES), "labels" if match["axes"] == "1" else "images")
    part = next((PARTS[word] for word in known if word in PARTS), None)
    rest = "-".join(word for word in words if word.lower() not in (*ROLES, *PARTS))
    return Named(path, role, part, rest, match["axes"], known)


def is_idx(path: Path) -> bool:
    """Whether the file has a name of the idx format."""
    return named(path) is not None


def holds_idx(folder: Path) -> bool:
    """Whether files of images in the idx format lie in the folder."""
    return any(it.role == "images" and it.axes for it in _files(folder))


def read(path: Path, options: ReadOptions) -> RawData:
    """An idx file of images with the labels next to it, or the one set of such files in a folder.

    A set is the files whose names differ in images, labels and the part only, as train and test. Where the test part
    has MNIST's name, t10k, the last sixth of the training rows is for validation, as MNIST's last 10,000 of 60,000.

    Raises:
        DataError: a file is unreadable, or a folder holds several sets or files that can be read in two ways.
    """
    return _read_folder(path) if path.is_dir() else _read_file(path)


def _read_file(path: Path) -> RawData:
    about = named(path)
    assert about is not None
    if about.role == "labels":
        raise DataError(f"{path}: holds labels, by its name. Give the file of the images; its labels are found by it.")
    return _read_pairs([(about, labels_of(about, _files(path.parent)))])


def _read_folder(folder: Path) -> RawData:
    files = _files(folder)
    for it in files:
        if leads_out(it.path, folder):
            raise DataError(f"{it.path}: is a link that leads out of {folder}. Copy what it points to into the folder.")
    images = [it for it in files if it.role == "images"]
    sets = sorted({it.set for it in images})
    if len(sets) > 1:
        raise DataError(
            f"{folder}: holds several sets of idx files: {listed([name or '(no name)' for name in sets])}. Give the "
            "path of one file of images, or a folder that holds one set."
        )
    parts = {part: _only([it for it in images if it.part == part], folder) for part in {it.part for it in images}}
    if len(parts) > 1 and parts.keys() not in ({"train", "test"}, {"train", "validation", "test"}):
        raise DataError(
            f"{folder}: holds {listed([it.path.name for it in parts.values()])}, where training and test images are "
            "needed, or one file alone. Give the path of one of them, or remove the others."
        )
    chosen = [parts[part] for part in (None, *splits.NAMES) if part in parts]
    pairs = [(it, labels_of(it, files)) for it in chosen]
    found = _read_pairs(pairs)
    used = {it.plain for pair in pairs for it in pair if it is not None}
    is_mnist = len(pairs) == 2 and "t10k" in chosen[1].words
    count = len(found.parts[0].x)
    return replace(
        found, cuts=splits.last(count, count // 6) if is_mnist else None, passed_over=_passed_over(folder, used)
    )


def _read_pairs(pairs: Sequence[tuple[Named, Named | None]]) -> RawData:
    parts, sources = [], []
    for images, labels in pairs:
        y = None if labels is None else read_array(labels.path)
        if labels is not None and y is not None:
            first = y.ndim == 2 and y.shape[1] == QMNIST and y.dtype == TYPES[0x0C]
            y = y[:, 0] if first else y
            sources.append(f"{'first column of ' if first else ''}file {labels.path.name!r}")
        parts.append(RawPart(read_array(images.path), y))
    are_images = parts[0].x.ndim == 3 and any(word in ROLES for word in pairs[0][0].words)
    return RawData(parts, channels="none" if are_images else None, labels_from=", ".join(sources) or None)


def labels_of(images: Named, files: Sequence[Named]) -> Named | None:
    """The file of labels that belongs to a file of images by its name; None if it does not exist."""
    found = [it for it in files if it.role == "labels" and (it.set, it.part) == (images.set, images.part)]
    return _only(found, images.path.parent) if found else None


def _only(files: Sequence[Named], folder: Path) -> Named:
    """The only file, whether it is there compressed, not compressed, or both. What is not is mapped."""
    plain = {it.plain: it for it in sorted(files, key=lambda it: not it.is_compressed)}
    if len(plain) > 1:
        raise DataError(
            f"{folder}: {listed([it.path.name for it in plain.values()])} can be the {files[0].role} of one part. "
            "Remove all but one."
        )
    return next(iter(plain.values()))


def _files(folder: Path) -> list[Named]:
    """The idx files of a folder, by their names."""
    names = (named(path) for path in sorted(folder.iterdir()) if path.is_file() and not path.name.startswith("."))
    return [it for it in names if it is not None]


def _passed_over(folder: Path, used: Set[str]) -> tuple[str, ...]:
    """Phrases for all else in the folder, except the same files compressed or not."""
    others = [path for path in sorted(folder.iterdir()) if not path.name.startswith(".")]
    folders = sum(path.is_dir() for path in others)
    files = [path for path in others if not path.is_dir()]
    idx = {path: it.plain for path in files if (it := named(path)) is not None}
    kinds = Counter(
        "the idx format" if path in idx else path.suffix.lower() or "no ending"
        for path in files
        if idx.get(path) not in used
    )
    said = [f"{plural(count, 'file')} of {kind}" for kind, count in sorted(kinds.items())]
    return (*said, *([plural(folders, "folder")] if folders else []))


def read_array(path: Path) -> np.ndarray:
    """The array of an idx file: read into memory if it is compressed by gzip or xz, otherwise mapped.

    Raises:
        DataError: the file is unreadable, not idx, or longer or shorter than its header says.
    """
    try:
        openers: Mapping[str, Callable[[Path], BufferedIOBase]] = {".gz": gzip.open, ".xz": _open_xz}
        opener = openers.get(path.suffix.lower())
        return _map(path) if opener is None else _read_compressed(path, opener)
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise DataError(f"{path}: cannot be read as idx: {error}. Fetch or write the file again.") from error


def _open_xz(path: Path) -> BufferedIOBase:
    return lzma.LZMAFile(path, format=lzma.FORMAT_XZ)


def _read_compressed(path: Path, opener: Callable[[Path], BufferedIOBase]) -> np.ndarray:
    with opener(path) as stream:
        dtype, shape = _header(stream, path)
        size = check_declared(shape, dtype.itemsize, str(path))
        check_unfolding(size, path.stat().st_size, str(path))
        if path.suffix.lower() == ".gz" and size > DEFLATE_RATIO * path.stat().st_size:  # refused before allocation
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
