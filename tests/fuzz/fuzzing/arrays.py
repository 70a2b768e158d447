"""Files of arrays: idx, npy, npz, csv and mat, with headers that lie and contents that unfold."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import zipfile
import zlib
from functools import lru_cache

import numpy as np
from hypothesis import strategies as st
from scipy.io import savemat

from fuzzing.mutation import EXTREMES, integers, mutated

IMAGES = np.random.default_rng(0).integers(0, 256, (12, 4, 5), dtype=np.uint8)
TABLE = np.random.default_rng(1).standard_normal((12, 3))
LABELS = np.arange(12, dtype=np.uint8) % 3
BLOCK = 2**20


@lru_cache
def unfolding(begins: bytes, size: int, wbits: int) -> bytes:
    """A compressed stream of these first bytes and `size` zeros, made in no time; a checksum behind it is wrong."""
    packer = zlib.compressobj(9, zlib.DEFLATED, wbits)
    head = packer.compress(begins) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(bytes(BLOCK)) + packer.flush(zlib.Z_FULL_FLUSH)
    return head + block * (size // BLOCK) + packer.flush()


# idx

_types = st.sampled_from([8, 9, 11, 12, 13, 14, 0, 10, 255])
_lengths = st.sampled_from([0, 1, 2, 3, 12, 2**16, 2**31 - 1, 2**31, 2**32 - 1]) | st.integers(0, 20)


def _idx(kind: int, lengths: list[int], values: bytes) -> bytes:
    return bytes([0, 0, kind, len(lengths)]) + struct.pack(f">{len(lengths)}I", *lengths) + values


_idx_files = st.builds(_idx, _types, st.lists(_lengths, max_size=5), st.binary(max_size=300))
_idx_files |= st.builds(
    lambda kind, rows, width, tile: _idx(kind, [rows, width], (tile * 999)[: rows * width * 8]),
    _types, st.integers(10, 14), st.integers(1, 3), st.binary(min_size=1, max_size=9),
)  # fmt: skip
_idx_files |= mutated(_idx(8, [12, 4, 5], IMAGES.tobytes()), _idx(8, [12], LABELS.tobytes()))
_unfolding_idx = st.builds(
    lambda rows, size: unfolding(_idx(8, [rows, 1024, 1024], b""), size, 31),
    st.sampled_from([3072, 4096, 2**14]),
    st.sampled_from([BLOCK, 64 * BLOCK, 3072 * BLOCK]),
)
_gzipped = _idx_files.map(gzip.compress)
idx = st.tuples(
    st.sampled_from(["x-idx3-ubyte.gz", "x-idx3-ubyte.gz", "x-images-idx3-ubyte.gz"]),
    _gzipped | _gzipped.map(gzip.compress) | _gzipped.flatmap(mutated) | _unfolding_idx,
) | st.tuples(st.sampled_from(["x-idx3-ubyte", "train-images-idx3-ubyte"]), _idx_files)
"""The name and the content of an idx file, gzipped or not, or gzipped twice."""

# npy and npz

_dtypes = st.sampled_from(
    [
        "|u1",
        "<f4",
        ">f8",
        "<f2",
        "<f16",
        "<i8",
        "<u8",
        "|b1",
        "<c16",
        "|O",
        "<U3",
        "|S2",
        "<M8[ns]",
        "V4",
        "|V0",
        "<U0",
        "<U99999999",
        "|S2147483647",
        "(2,)<f4",
        "<f3",
        "O8",
        "\0",
        "<U2147483648",
    ]
)
_shapes = st.lists(_lengths | integers, max_size=5).map(tuple) | st.just((12, 3)) | st.just((12,))
_descriptions = _dtypes.map(repr) | st.sampled_from(["[('a', '<f4')]", "[('a', '|O')]", "('<f4', (2, 3))", "1", "[]"])
_headers = st.builds(
    "{{'descr': {}, 'fortran_order': {}, 'shape': {}, }}".format,
    _descriptions,
    st.sampled_from(["True", "False", "1", "None"]),
    _shapes
    | st.sampled_from(["(12L, 3L)", "12", "(True, 3)", "(1e3,)", "(" * 300, "[12, 3]", "(9" + "9" * 5000 + ",)"]),
)


def _npy(header: str, version: int, values: bytes) -> bytes:
    text = header.encode("latin1", "replace") + b"\n"
    length = struct.pack("<H" if version == 1 else "<I", min(len(text), 65535))
    return b"\x93NUMPY" + bytes([version, 0]) + length + text + values


def _saved(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


_npy_files = st.builds(_npy, _headers, st.sampled_from([1, 1, 2, 3, 9]), st.binary(max_size=300))
_npy_files |= st.builds(
    lambda kind, tile: _npy(f"{{'descr': '{kind}', 'fortran_order': False, 'shape': (12, 3)}}", 1, (tile * 999)[:576]),
    st.sampled_from(["<f4", "<f8", "<f2", "<i8", "<u8", "<f16"]), st.binary(min_size=1, max_size=16),
)  # fmt: skip
_npy_files |= st.builds(
    lambda kind, tile: _npy(f"{{'descr': '{kind}', 'fortran_order': False, 'shape': (12,), }}", 1, (tile * 999)[:192]),
    st.sampled_from(["<U1", "<U2", "<f8", "<u8", "|b1"]), st.binary(min_size=1, max_size=16),
)  # fmt: skip
_npy_files |= mutated(_saved(IMAGES), _saved(TABLE), _saved(np.array(["a", "bc"] * 6)))
npy = st.tuples(st.just("x.npy"), _npy_files)

_members = st.sampled_from(
    ["x", "x", "y", "X", "images", "labels", "x_train", "x_test", "y_test", "arr_0", "a/b", "../x", "é"]
)
_methods = st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])


def _archive(members: list[tuple[str, bytes]], method: int) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in members:
            if f"{name}.npy" not in archive.NameToInfo:
                archive.writestr(zipfile.ZipInfo(f"{name}.npy"), content, method)
    return stream.getvalue()


_CENTRAL = {"flags": 8, "method": 10, "crc": 16, "packed": 20, "size": 24, "name": 28, "extra": 30, "offset": 42}
_LOCAL = {"flags": 6, "method": 8, "crc": 14, "packed": 18, "size": 22, "name": 26, "extra": 28}


def _disagreeing(archive: bytes, central: bool, field: str, value: int) -> bytes:
    """One of the two headers of the first member says something else than the other."""
    places = _CENTRAL if central else _LOCAL
    form = "<H" if field in ("flags", "method", "name", "extra") else "<I"
    start = archive.find(b"PK\1\2" if central else b"PK\3\4") + places.get(field, 8)
    piece = struct.pack(form, value & (0xFFFF if form == "<H" else 0xFFFFFFFF))
    return archive[:start] + piece + archive[start + len(piece) :]


def _packed_npz(rows: int, size: int) -> bytes:
    """An archive whose one member unfolds to gigabytes of zeros."""
    begins = _npy(f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({rows}, {BLOCK}), }}", 1, b"")
    content = unfolding(begins, size, -15)
    head = (20, 0, 8, 0, 0, 0, len(content), min(len(begins) + rows * BLOCK, 2**32 - 2), 5, 0)
    local = b"PK\3\4" + struct.pack("<5H3I2H", *head) + b"x.npy"
    central = b"PK\1\2" + struct.pack("<6H3I5H2I", 20, *head, 0, 0, 0, 0, 0) + b"x.npy"
    end = b"PK\5\6" + struct.pack("<4H2IH", 0, 0, 1, 1, len(central), len(local) + len(content), 0)
    return local + content + central + end


_archives = st.builds(_archive, st.lists(st.tuples(_members, _npy_files), max_size=3), _methods)
_pairs = st.builds(
    lambda x, y, method: _archive([("x", x), ("y", y)], method), st.just(_saved(TABLE)), _npy_files, _methods
)
npz = st.tuples(
    st.just("x.npz"),
    _archives
    | _pairs
    | _archives.flatmap(mutated)
    | st.builds(_disagreeing, _archives, st.booleans(), st.sampled_from([*_CENTRAL]), integers)
    | st.builds(_packed_npz, st.sampled_from([1, 3000, 4000]), st.sampled_from([BLOCK, 3000 * BLOCK])),
)

# csv

_cells = st.sampled_from(
    ["1", "2.5", "-3e4", "nan", "inf", "1e999", "", " ", "cat", '"a,b"', '"', "\0", "1_0", "٣", "'"]
)
_cells |= st.sampled_from(["1,5", '"1,234"', "1.234.567", "9007199254740993", "5%", "True", "NA", "?", "#"])
_cells |= st.sampled_from(["1;2", "1\t2", "2024-01-31", "²", "9" * 309])
_cells |= st.text(max_size=5) | st.floats().map(str)
_wide = st.builds(
    str.__mul__, st.sampled_from(["1,", ",", "a,", "9", '"', '"\n",']), st.sampled_from([1, 300, 70_000, 140_000])
)
_lines = st.lists(_cells, max_size=4).map(",".join) | _wide
_ends = st.sampled_from(["\n", "\r\n", "\r", "\n\n", "\0"])
_ragged = st.builds(str.join, _ends, st.lists(_lines, max_size=14))
_number = st.floats(width=32, allow_nan=False, allow_infinity=False).map(str)
_headers = st.sampled_from([[], ["a,b,label"], ["a,b,y"], ["label,a,b"], ["a,b,c"], ["a,a,a"], [",,"]])
_headers |= st.sampled_from([["0,1,2"], [",0,1"], ["# a,b,label"], ["sep=,"], ["id,x,y"], ["a,b"], ["1,2,label"]])
_even = st.builds(
    lambda header, rows: "\n".join([*header, *map(",".join, rows)]),
    _headers,
    st.lists(st.tuples(_number, _number, _number | st.sampled_from(["cat", "dog", "0", "1"])), min_size=9, max_size=14),
)
_texts = (_ragged | _even).map(lambda text: text.encode("utf-8", "surrogatepass"))
_texts |= mutated(
    b"a,b,label\n" + b"1,2.5,cat\n3,4e-1,dog\n" * 6, b"\xef\xbb\xbf1,2\r\n" * 12, b"\xff\xfea\0,\0b\0\n\0"
)
_long_label = st.builds(
    lambda n: b"a,label\n" + b"1," + b"x" * n + b"\n" + b"1,y\n" * 4000, st.sampled_from([100, 60_000, 130_000])
)
_folds = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}
_packed_texts = st.sampled_from([*_folds]).flatmap(
    lambda suffix: st.tuples(st.just("x.csv" + suffix), _texts.map(_folds[suffix]).flatmap(mutated) | _unfolding_texts)
)
_unfolding_texts = st.sampled_from([BLOCK, 3072 * BLOCK]).map(lambda size: unfolding(b"a,b\n1,2\n", size, 31))
csv = (
    st.tuples(st.just("x.csv"), _texts | _long_label)
    | st.tuples(st.sampled_from(["x.tsv", "x.txt"]), _texts.map(lambda text: text.replace(b",", b"\t")))
    | _packed_texts
)

# mat


def _mat(compress: bool, form: str = "5", **arrays) -> bytes:
    stream = io.BytesIO()
    savemat(stream, arrays, format=form, do_compression=compress)
    return stream.getvalue()


_CELLS = np.array([["a", TABLE], [LABELS, "b"]], dtype=object)
_MATRICES = {
    "small": {"x": TABLE, "y": LABELS},
    "svhn": {"X": np.moveaxis(IMAGES[..., None], 0, -1), "y": LABELS[:, None] + 1},
    "faces": {"images": IMAGES, "labs_ex": LABELS + 1, "folds": LABELS[:, None] + np.zeros((1, 5), np.uint8)},
    "odd": {"x": _CELLS, "data": {"a": TABLE, "b": "text"}, "images": np.array(["abc", "def"])},
}
_plain = [_mat(False, **arrays) for arrays in _MATRICES.values()]
_old = [_mat(False, "4", x=TABLE, y=LABELS), _mat(False, "4", X=TABLE, t="text")]
_NEW = b"MATLAB 7.3 MAT-file".ljust(124) + b"\0\2IM" + b"\x89HDF\r\n" * 9


def _compressed(plain: bytes) -> bytes:
    """All that stands behind the header of a .mat file, in one compressed element."""
    packed = zlib.compress(plain[128:])
    return plain[:128] + struct.pack("<II", 15, len(packed)) + packed


def _matrix(lengths: list[int], kind: int, stored: int, declared: int, values: bytes) -> bytes:
    """A matrix x of lengths, of class `kind`, its values stored as type `stored` in `declared` bytes."""
    axes = struct.pack("<II", 5, 4 * len(lengths)) + b"".join(struct.pack("<I", it & 0xFFFFFFFF) for it in lengths)
    flags = struct.pack("<IIII", 6, 8, kind, 0)
    body = (
        flags
        + axes
        + bytes(-len(axes) % 8)
        + struct.pack("<HHI", 1, 1, ord("x"))
        + struct.pack("<II", stored, declared)
    )
    return struct.pack("<II", 14, len(body) + declared & 0xFFFFFFFF) + body + values


def _matrix_file(lengths, kind, stored, declared, values):
    return _plain[0][:128] + _matrix(lengths, kind, stored, declared & 0xFFFFFFFF, values)


def _unfolding_mat(lengths: tuple[int, ...], declared: int, size: int) -> bytes:
    packed = unfolding(_matrix(list(lengths), 9, 2, declared, b""), size, 15)
    return _plain[0][:128] + struct.pack("<II", 15, len(packed)) + packed


_built = st.builds(
    _matrix_file, st.lists(_lengths | integers, max_size=5), st.integers(0, 20), st.integers(0, 20),
    st.sampled_from(EXTREMES) | st.integers(0, 300), st.binary(max_size=300),
)  # fmt: skip
_edited = mutated(*_plain)
mat = st.tuples(
    st.just("x.mat"),
    mutated(*_plain, *_old, _NEW)
    | mutated(*map(_compressed, _plain))
    | _edited.filter(lambda it: len(it) > 128).map(_compressed)
    | _built
    | _built.map(_compressed)
    | st.builds(
        _unfolding_mat,
        st.sampled_from([(12, 3), (3000, BLOCK), (2**31 - 1, 3)]),
        st.sampled_from([36, 3000 * BLOCK, 2**32 - 100]),
        st.sampled_from([BLOCK, 3000 * BLOCK]),
    ),
)
