"""MATLAB files: SVHN's layout, the Toronto faces' layout, and others by the names of their arrays."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping, Set
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

import numpy as np

from aaeframe.configuration.reading import ReadOptions
from aaeframe.data.layout import CHANNELS
from aaeframe.data.raw import RawData, RawPart
from aaeframe.data.readers.keys import pick
from aaeframe.data.readers.limits import check_declared, check_unfolding
from aaeframe.errors import DataError

BYTES: Final = {
    **{"uint8": 1, "int8": 1, "logical": 1, "uint16": 2, "int16": 2, "uint32": 4, "int32": 4, "single": 4, "char": 4},
    **{"uint64": 8, "int64": 8, "double": 8},
}
"""Bytes per value in memory, for MATLAB's types of numbers and texts."""

BYTE, SIGNED, UNSIGNED, MATRIX, COMPRESSED = 1, 5, 6, 14, 15
"""Types of file elements: 8-bit, signed and unsigned 32-bit integers, a variable, and a compressed variable."""

STORED: Final = frozenset({1, 2, 3, 4, 5, 6, 7, 9, 12, 13, 16, 17, 18})
"""The types in which values may be stored."""

NUMBERS: Final = frozenset({4, *range(6, 16)})
"""The classes of variables that are texts or numbers."""

COMPLEX: Final = 0x800
"""The flag of a variable with imaginary parts."""

PIECE_BYTES: Final = 2**20
"""The size of the pieces in which variables are checked."""

UNLABELED: Final = -1
"""TFD's label for a face without a label."""

FOLDS: Final = ((0, 1), (2,), (3,))
"""TFD's fold codes: training (0 without label, 1 with), validation and test."""


USES: Final = frozenset({"channels", "label_key"})
"""The options that are used."""


def read(path: Path, options: ReadOptions) -> RawData:
    """The content of a .mat file: see `read_parts`."""
    return RawData(read_parts(path, options.label_key))


def read_parts(path: Path, labels: str | None) -> list[RawPart]:
    """The parts of a .mat file (version 7.2 or older).

    - `images` and `labs_ex`: the Toronto faces. With `folds`, the first fold: its training faces together with
      all faces without a label, its validation and its test faces. A part has labels if all its faces have.
    - `X` (H, W, C, N) and `y` (N, 1): SVHN. If the labels are 1 to 10, 10 is the digit 0.
    - otherwise by the names of the arrays (`keys.pick`).

    Raises:
        DataError: the file is unreadable or too large, or its data cannot be identified.
    """
    from scipy import io

    with _readable(path), path.open("rb") as stream:
        held = {name: Declared(tuple(map(int, shape)), kind) for name, shape, kind in io.whosmat(stream)}
        if labels is None and {"images", "labs_ex"} <= held.keys():
            return _faces(_load(stream, path, held, {"images", "labs_ex", "folds"} & held.keys()), path)
        pairs = pick({name: it.shape for name, it in held.items()}, labels, str(path))
        arrays = _load(stream, path, held, {name for pair in pairs for name in pair if name is not None})
        return [_svhn(arrays[x], None if y is None else arrays[y]) for x, y in pairs]


class Declared(NamedTuple):
    """The shape and type in the header of a variable."""

    shape: tuple[int, ...]
    kind: str


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        with np.errstate(over="ignore"):  # scipy multiplies the lengths of a header unchecked
            yield
    except (DataError, MemoryError):
        raise
    except NotImplementedError as error:
        raise DataError(f"{path}: is a MATLAB 7.3 file. Save it again with `save -v7`, or as .npz.") from error
    except Exception as error:  # a broken file may make the reader fail in any way
        raise DataError(f"{path}: cannot be read as a MATLAB file: {error or type(error).__name__}.") from error


def _load(stream: BinaryIO, path: Path, held: Mapping[str, Declared], names: Set[str]) -> dict[str, np.ndarray]:
    """Load these variables, after checking the declared sizes of them and of all compressed variables."""
    from scipy import io

    size = path.stat().st_size
    for name in sorted(names):
        shape, kind = held[name]
        if kind not in BYTES:
            raise DataError(f"{path}: {name} is of type {kind}; it must be real numbers, or texts for labels.")
        check_unfolding(check_declared(shape, BYTES[kind], f"{path}: {name} ({kind})"), size, f"{path}: {name}")
    stream.seek(0)
    _check_variables(stream, path)
    stream.seek(0)
    return {
        name: np.asarray(array) for name, array in io.loadmat(stream, variable_names=names).items() if name in names
    }


def _check_variables(stream: BinaryIO, path: Path) -> None:
    """Check every variable, and decompress piece by piece: scipy would allocate whatever size a variable expands to."""
    from scipy.io.matlab import matfile_version

    if matfile_version(stream)[0] != 1:
        return  # version 4, which has neither elements nor compression
    stream.seek(126)
    order = "<" if stream.read(2) == b"IM" else ">"
    while len(tag := stream.read(8)) == 8:
        kind, size = struct.unpack(f"{order}II", tag)
        if kind != COMPRESSED:
            begin = stream.tell()
            _check_elements(tag + stream.read(min(size, PIECE_BYTES)), order)
            stream.seek(begin + size)
            continue
        found, declared = 0, 0
        for piece in _unfolded(stream, size):
            if found == 0:
                declared = struct.unpack_from(f"{order}I", piece, 4)[0]
                check_unfolding(declared, size, str(path))
                _check_elements(piece, order)
            found += len(piece)
            if found > declared + len(tag):
                raise DataError(f"{path}: a variable unfolds to more than the {declared} bytes it declares.")


def _check_elements(matrix: bytes, order: str) -> None:
    """Check the elements of a numeric variable up to its values, given its first bytes; ValueError if one is wrong.

    scipy looks the type of the values up in a C array without a bounds check, and may crash.
    """
    kind, declared = struct.unpack_from(f"{order}II", matrix)
    flags = struct.unpack_from(f"{order}II", matrix, 8)
    if kind != MATRIX or flags != (UNSIGNED, 8):
        raise ValueError("a variable does not begin as one")
    (about,) = struct.unpack_from(f"{order}I", matrix, 16)
    if about & 0xFF not in NUMBERS:
        return  # not loaded
    if about & COMPLEX:
        raise ValueError("a variable is of complex numbers, where only real ones can be data")
    at = 24
    for wanted in ({SIGNED}, {BYTE}, STORED):  # its lengths, its name, its values
        first, size = struct.unpack_from(f"{order}II", matrix, at)
        small = first >> 16  # an element of up to four bytes, stored in place of the size
        kind, size, at = (first & 0xFFFF, small, at + 8) if small else (first, size, at + 8 + size + -size % 8)
        if kind not in wanted:
            raise ValueError(f"a variable has an element of type {kind}, where {sorted(wanted)} can be")
        if kind == SIGNED and wanted is not STORED and size < 8:
            raise ValueError("a variable has fewer than two lengths")
    if size > declared:
        raise ValueError(f"a variable of {declared} bytes has values of {size} bytes")


def _unfolded(stream: BinaryIO, size: int) -> Iterator[bytes]:
    unpacker = zlib.decompressobj()
    while size > 0 and (packed := stream.read(min(size, PIECE_BYTES))):
        size -= len(packed)
        while packed:
            yield unpacker.decompress(packed, PIECE_BYTES)
            packed = unpacker.unconsumed_tail


def _svhn(x: np.ndarray, y: np.ndarray | None) -> RawPart:
    rows_last = x.ndim == 4 and x.shape[2] in CHANNELS and y is not None and x.shape[3] == y.size != len(x)
    if y is None or not rows_last:
        return RawPart(x, y)
    y = y.reshape(-1)
    if y.dtype.kind in "uif" and y.min() >= 1 and y.max() == 10:
        y = y % 10
    return RawPart(np.moveaxis(x, -1, 0), y)


def _faces(arrays: Mapping[str, np.ndarray], path: Path) -> list[RawPart]:
    images, labels = arrays["images"], arrays["labs_ex"].reshape(-1)
    if len(labels) != len(images):
        raise DataError(f"{path}: {len(images)} images have {len(labels)} labels in labs_ex; they must be as many.")
    if "folds" not in arrays:
        return [_part(images, labels, np.arange(len(images)))]
    folds = arrays["folds"]
    if folds.ndim != 2 or len(folds) != len(images):
        raise DataError(
            f"{path}: folds has the shape {folds.shape}; it needs one row for each of {len(images)} images."
        )
    return [_part(images, labels, np.flatnonzero(np.isin(folds[:, 0], kinds))) for kinds in FOLDS]


def _part(images: np.ndarray, labels: np.ndarray, rows: np.ndarray) -> RawPart:
    mine = labels[rows]
    return RawPart(images[rows], None if (mine == UNLABELED).any() else mine)
