"""MATLAB files: SVHN's layout, the Toronto faces' layout, and others by the names of their arrays."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final, Literal, NamedTuple, TypeAlias

import numpy as np

from aaeframe.configuration.reading import ReadOptions
from aaeframe.data.layout import CHANNELS
from aaeframe.data.raw import RawData, RawPart
from aaeframe.data.readers.keys import Choice, Held, as_ids, as_texts, chosen, labels_from, passed_over, pick
from aaeframe.data.readers.limits import check_declared, check_unfolding
from aaeframe.errors import DataError
from aaeframe.storage.text import plural

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

RGB: Final = 3
"""The channels of SVHN's images."""

Rows: TypeAlias = Literal["first", "last"]

FOLDS: Final = ((0, 1), (2,), (3,))
"""TFD's fold codes: training (0 without label, 1 with), validation and test."""


class Declared(NamedTuple):
    """The shape and type in the header of a variable."""

    shape: tuple[int, ...]
    kind: str


def read(path: Path, options: ReadOptions) -> RawData:
    """The content of a .mat file (version 7.2 or older).

    - `images` and `labs_ex`: the Toronto faces. With `folds`, the first fold: its training faces together with
      all faces without a label, its validation and its test faces. A label of -1 is none.
    - otherwise by the names of the arrays (`keys.pick`). The rows lie along the first or the last axis: see `Rows`.
    - `X` (H, W, C, N) and `y` are SVHN's names: if the labels are 1 to 10, 10 is the digit 0.

    Raises:
        DataError: the file is unreadable or too large, or its data or its rows cannot be identified.
    """
    from scipy import io

    with _readable(path), path.open("rb") as stream:
        declared = {name: Declared(tuple(map(int, shape)), kind) for name, shape, kind in io.whosmat(stream)}
        held = {name: _held(name, it) for name, it in declared.items()}
        if not options.given.keys() - {"scale", "held_out"} and {"images", "labs_ex"} <= declared.keys():
            used = {"images", "labs_ex", "folds"} & declared.keys()
            parts = _faces(_load(stream, path, declared, used), path)
            over = passed_over(held, used)
            return RawData(parts, channels="none", labels_from="array 'labs_ex'", passed_over=over)
        choices = pick(held, options, str(path), any_axis=True)
        arrays = _load(stream, path, declared, chosen(choices))
    parts = [_rows(arrays, choice, options, str(path)) for choice in choices]
    source, over = labels_from(choices), passed_over(held, chosen(choices))
    if any(_is_svhn(arrays, choice) for choice in choices):
        return RawData(parts, channels="last", labels_from=f"{source}, where 10 is the digit 0", passed_over=over)
    return RawData(parts, labels_from=source, passed_over=over)


def _held(name: str, declared: Declared) -> Held:
    shape, kind = declared
    if kind not in BYTES:
        hint = " Save it as `full` of it." if kind == "sparse" else " Save its numbers as an array of their own."
        why = f"{name} is of type {kind}; it must be real numbers, or texts for labels."
        return Held(shape, f"type {kind}", problem=why + hint)
    if kind == "char":  # scipy reads a matrix of characters as one text for each row
        return Held(shape[:1], "type char", texts=True)
    return Held(shape)


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
        if problem := _held(name, held[name]).problem:
            raise DataError(f"{path}: {problem}")
        check_unfolding(check_declared(shape, BYTES[kind], f"{path}: {name} ({kind})"), size, f"{path}: {name}")
    stream.seek(0)
    _check_variables(stream, path, names)
    stream.seek(0)
    return {
        name: np.asarray(array) for name, array in io.loadmat(stream, variable_names=names).items() if name in names
    }


def _check_variables(stream: BinaryIO, path: Path, names: Set[str]) -> None:
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
            _check_elements(tag + stream.read(min(size, PIECE_BYTES)), order, path, names)
            stream.seek(begin + size)
            continue
        found, declared = 0, 0
        for piece in _unfolded(stream, size):
            if found == 0:
                declared = struct.unpack_from(f"{order}I", piece, 4)[0]
                check_unfolding(declared, size, str(path))
                _check_elements(piece, order, path, names)
            found += len(piece)
            if found > declared + len(tag):
                raise DataError(f"{path}: a variable unfolds to more than the {declared} bytes it declares.")


def _check_elements(matrix: bytes, order: str, path: Path, names: Set[str]) -> None:
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
    at = 24
    for wanted in ({SIGNED}, {BYTE}, STORED):  # its lengths, its name, its values
        first, size = struct.unpack_from(f"{order}II", matrix, at)
        small = first >> 16  # an element of up to four bytes, stored in place of the size
        begin = at + 4 if small else at + 8
        kind, size, at = (first & 0xFFFF, small, at + 8) if small else (first, size, at + 8 + size + -size % 8)
        if kind not in wanted:
            raise ValueError(f"a variable has an element of type {kind}, where {sorted(wanted)} can be")
        if kind == SIGNED and wanted is not STORED and size < 8:
            raise ValueError("a variable has fewer than two lengths")
        if kind == BYTE and wanted is not STORED and about & COMPLEX:
            name = matrix[begin : begin + size].rstrip(b"\0").decode("latin-1")
            if name in names:
                raise DataError(
                    f"{path}: {name} is of complex numbers, where only real ones can be data. Save `abs` of them."
                )
            return  # not loaded
    if size > declared:
        raise ValueError(f"a variable of {declared} bytes has values of {size} bytes")


def _unfolded(stream: BinaryIO, size: int) -> Iterator[bytes]:
    unpacker = zlib.decompressobj()
    while size > 0 and (packed := stream.read(min(size, PIECE_BYTES))):
        size -= len(packed)
        while packed:
            yield unpacker.decompress(packed, PIECE_BYTES)
            packed = unpacker.unconsumed_tail


def _rows(arrays: Mapping[str, np.ndarray], choice: Choice, options: ReadOptions, where: str) -> RawPart:
    """The rows of a part, along the first axis."""
    x = arrays[choice.data]
    labels = None if choice.labels is None else as_texts(arrays[choice.labels], f"{where}: {choice.labels}").reshape(-1)
    ids = None if choice.ids is None else as_ids(arrays[choice.ids], f"{where}: {choice.ids}")
    known = [len(it) for it in (labels, ids) if it is not None]
    if (options.rows or _found_rows(choice.data, x.shape, known, where)) == "last":
        x = np.moveaxis(x, -1, 0)
    if labels is not None and _is_svhn(arrays, choice):
        labels = labels % 10
    return RawPart(x, labels, ids)


def _found_rows(name: str, shape: tuple[int, ...], known: Sequence[int], where: str) -> Rows:
    """The axis of the rows, if there is one reading.

    The number of labels or ids decides. If it fits both axes, or there are none, an array of four axes is images as in
    SVHN, whose axis of channels next to the rows' decides.

    Raises:
        DataError: there are two readings. The message has both, and the option that decides.
    """
    fits = [rows for rows, count in (("first", shape[0]), ("last", shape[-1])) if all(it == count for it in known)]
    if len(shape) == 4 and len(fits) == 2:
        # (N, C, H, W) and (N, H, W, C), or (C, H, W, N) and (H, W, C, N)
        axes = {"first": (shape[1], shape[3]), "last": (shape[0], shape[2])}
        fits = [rows for rows in fits if any(length in CHANNELS for length in axes[rows])] or fits
    if len(fits) == 1:
        return "first" if fits[0] == "first" else "last"
    counted = f"{name} is {_by(shape)}"
    why = f"{known[0]} labels fit both" if known else "no labels tell which axis is the rows"
    raise DataError(
        f"{where}: {counted}, and {why}. Give data.rows=first to read {plural(shape[0], 'row')} of {_by(shape[1:])}, "
        f"or data.rows=last to read {plural(shape[-1], 'row')} of {_by(shape[:-1])}."
    )


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def _is_svhn(arrays: Mapping[str, np.ndarray], choice: Choice) -> bool:
    """Whether the names and shapes are SVHN's, and the labels are 1 to 10."""
    if (choice.data, choice.labels) != ("X", "y"):
        return False
    x, y = arrays["X"], arrays["y"]
    images = x.ndim == 4 and x.shape[2] == RGB and x.shape[3] == y.size and len(x) != y.size
    return images and y.dtype.kind in "uif" and y.min() >= 1 and y.max() == 10


def _faces(arrays: Mapping[str, np.ndarray], path: Path) -> list[RawPart]:
    images, labels = arrays["images"], arrays["labs_ex"].reshape(-1)
    if len(labels) != len(images):
        raise DataError(f"{path}: {len(images)} images have {len(labels)} labels in labs_ex; they must be as many.")
    if "folds" not in arrays:
        return [RawPart(images, labels)]
    folds = arrays["folds"]
    if folds.ndim != 2 or len(folds) != len(images):
        raise DataError(
            f"{path}: folds has the shape {folds.shape}; it needs one row for each of {len(images)} images."
        )
    parts = [np.flatnonzero(np.isin(folds[:, 0], kinds)) for kinds in FOLDS]
    return [RawPart(images[rows], labels[rows]) for rows in parts]
