from __future__ import annotations

import gzip
import struct

import numpy as np
import pytest

from aaeframe.data import load
from aaeframe.data.readers import idx, limits
from aaeframe.errors import DataError

CODES = {dtype: code for code, dtype in idx.TYPES.items()}


def encoded(x, dtype="u1"):
    """The bytes of an idx file, by the format's own definition."""
    header = struct.pack(f">BBBB{x.ndim}I", 0, 0, CODES[np.dtype(dtype)], x.ndim, *x.shape)
    return header + x.astype(dtype).tobytes()


def write(path, x, dtype="u1"):
    data = encoded(x, dtype)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


IMAGES = np.random.default_rng(0).integers(0, 256, (30, 4, 5), dtype=np.uint8)
LABELS = np.arange(30) % 3


@pytest.mark.parametrize("name", ["train-images-idx3-ubyte", "train-images-idx3-ubyte.gz", "my-images.idx3-ubyte"])
def test_images_find_their_labels(tmp_path, name):
    write(tmp_path / name, IMAGES)
    write(tmp_path / name.replace("images", "labels").replace("idx3", "idx1"), LABELS)
    data = load(tmp_path / name)
    rows = data.test.index
    np.testing.assert_array_equal(data.test.array(), IMAGES[rows, None])
    np.testing.assert_array_equal(data.test.labels, LABELS[rows])
    assert data.test.is_mapped == (not name.endswith(".gz"))


def test_gzipped_images_find_labels_that_are_not(tmp_path):
    images = write(tmp_path / "a-images-idx3-ubyte.gz", IMAGES)
    labels = write(tmp_path / "a-labels-idx1-ubyte", LABELS)
    assert idx.labels_beside(images) == labels


def test_without_labels_beside_there_are_none(tmp_path):
    assert load(write(tmp_path / "a-images-idx3-ubyte", IMAGES)).num_classes is None


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("dtype", CODES)
def test_every_type_is_read(tmp_path, dtype, suffix):
    x = np.arange(40).reshape(20, 2) - (0 if dtype.kind == "u" else 7)
    path = write(tmp_path / f"x-idx2-ubyte{suffix}", x, dtype)
    np.testing.assert_array_equal(idx.read_array(path), x)
    data = load(path)
    np.testing.assert_array_equal(data.train.array(), x[data.train.index])


def test_a_folder_with_mnists_four_files_has_its_splits(tmp_path):
    for name, x in [("train-images-idx3", IMAGES), ("train-labels-idx1", LABELS)]:
        write(tmp_path / f"{name}-ubyte.gz", x)
    for name, x in [("t10k-images-idx3", IMAGES[::-1]), ("t10k-labels-idx1", LABELS[::-1])]:
        write(tmp_path / f"{name}-ubyte", x)
    data = load(tmp_path)
    np.testing.assert_array_equal(data.train.array()[:, 0], IMAGES[:25])
    np.testing.assert_array_equal(data.validation.array()[:, 0], IMAGES[25:])
    np.testing.assert_array_equal(data.validation.labels, LABELS[25:])
    np.testing.assert_array_equal(data.test.array()[:, 0], IMAGES[::-1])
    np.testing.assert_array_equal(data.test.labels, LABELS[::-1])


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (encoded(IMAGES)[:-1], "declares 600 bytes of values, the file holds 599"),
        (encoded(IMAGES) + b"!", "declares 600 bytes of values, the file holds (601|more)"),
        (encoded(IMAGES)[:7], "the header is cut off; it declares 3 axes"),
        (b"\x89PNG\r\n", "is not an idx file: it begins with the bytes 89 50 4e 47"),
        (b"\0\0\x08\x09" + b"\0" * 99, "is not an idx file.*at most 4 axes"),
        (b"\0\0\x0a\x01" + b"\0" * 99, "is not an idx file"),
        (b"\0\0", "begins with the bytes 00 00"),
        (encoded(np.zeros((0, 4, 5))), "is empty"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path, content, message, suffix):
    path = tmp_path / f"x-idx3-ubyte{suffix}"
    path.write_bytes(gzip.compress(content) if suffix else content)
    with pytest.raises(DataError, match=message):
        load(path)


@pytest.mark.parametrize("lengths", [(2**32 - 1,) * 3, (2**20, 2**10, 16)])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_an_absurd_header_takes_no_memory(tmp_path, lengths, suffix, monkeypatch):
    monkeypatch.setattr(np, "empty", lambda *_: pytest.fail("memory was taken"))
    content = b"\0\0\x08\x03" + struct.pack(">3I", *lengths)
    path = tmp_path / f"x-idx3-ubyte{suffix}"
    path.write_bytes(gzip.compress(content) if suffix else content)
    with pytest.raises(DataError, match="the header declares"):
        load(path)


def test_a_damaged_gzip_is_refused(tmp_path):
    path = write(tmp_path / "x-idx3-ubyte.gz", IMAGES)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"cannot be read as idx: .*Fetch or write the file again"):
        load(path)
    path.write_bytes(whole[:-8] + b"\0\0\0\0" + whole[-4:])  # the checksum
    with pytest.raises(DataError, match="CRC check failed"):
        load(path)
    path.write_bytes(b"no gzip at all")
    with pytest.raises(DataError, match="Not a gzipped file"):
        load(path)


def test_labels_of_another_number_are_refused(tmp_path):
    write(tmp_path / "x-labels-idx1-ubyte", LABELS[:-1])
    with pytest.raises(DataError, match=r"labels have the shape \(29,\); 30 rows need \(30,\)"):
        load(write(tmp_path / "x-images-idx3-ubyte", IMAGES))


def test_a_length_of_zero_beside_absurd_ones_is_empty(tmp_path):
    path = tmp_path / "x-idx4-ubyte.gz"
    path.write_bytes(gzip.compress(b"\0\0\x08\x04" + struct.pack(">4I", 0, *[2**32 - 1] * 3)))
    with pytest.raises(DataError, match=r"the data is empty: its header declares the shape \(0, 4294967295"):
        load(path)


def test_a_file_that_unfolds_to_gigabytes_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "GENEROUS", 2**20)
    monkeypatch.setattr(np, "empty", lambda *_: pytest.fail("memory was taken"))
    content = b"\0\0\x08\x03" + struct.pack(">3I", 4, 1024, 1024) + bytes(2**22)
    path = tmp_path / "x-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(content))
    with pytest.raises(DataError, match=r"the header declares 0\.0 GiB, over 500 times the \d,\d+ bytes .*as \.npy"):
        load(path)
