from __future__ import annotations

import gzip
import lzma
import struct

import numpy as np
import pytest

from aaeframe.configuration.reading import ReadOptions
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
    packers = {".gz": gzip.compress, ".xz": lzma.compress}
    path.write_bytes(packers.get(path.suffix, bytes)(data))
    return path


RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (30, 4, 5), dtype=np.uint8)
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
    assert idx.labels_of(idx.named(images), [idx.named(labels)]).path == labels
    assert load(images).num_classes == 3


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
        (b"\0\0\x08\x09" + b"\0" * 99, "is not an idx file.*at most 5 axes"),
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


def write_set(folder, *files):
    """Write files, each of a name and an array."""
    folder.mkdir(exist_ok=True)
    for name, x in files:
        write(folder / name, x, ">i4" if "int" in name and x.dtype != np.uint8 else "u1")
    return folder


PUBLIC = {
    "mnist": ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz", "t10k-images-idx3-ubyte.gz"),
    "kaggle": ("train-images.idx3-ubyte", "train-labels.idx1-ubyte", "t10k-images.idx3-ubyte"),
    "emnist": (
        "emnist-letters-train-images-idx3-ubyte.gz",
        "emnist-letters-train-labels-idx1-ubyte.gz",
        "emnist-letters-test-images-idx3-ubyte.gz",
    ),
    "other": ("Train_Images.idx3-ubyte", "Train_Labels.idx1-ubyte", "Test_Images.idx3-ubyte"),
    "short": ("train-images.idx3", "train-labels.idx1", "test-images.idx3"),
    "xz": ("a-train-images-idx3-ubyte.xz", "a-train-labels-idx1-ubyte.xz", "a-test-images-idx3-ubyte.xz"),
}


def labels_name(name):
    return name.replace("images", "labels").replace("Images", "Labels").replace("idx3", "idx1")


@pytest.mark.parametrize("kind", PUBLIC)
def test_the_public_sets(tmp_path, kind):
    train, labels, test = PUBLIC[kind]
    folder = write_set(
        tmp_path / "f", (train, IMAGES), (labels, LABELS), (test, IMAGES[:9]), (labels_name(test), LABELS[:9] + 1)
    )
    data = load(folder)
    np.testing.assert_array_equal(data.test.array()[:, 0], IMAGES[:9])
    np.testing.assert_array_equal(data.test.labels, LABELS[:9] + 1)
    assert (len(data.train), len(data.validation)) == ((25, 5) if "t10k" in test else (27, 3))
    assert data.train.shape == (1, 4, 5)
    alone = load(folder / train)
    np.testing.assert_array_equal(alone.split("all").array()[:, 0], IMAGES)
    np.testing.assert_array_equal(alone.split("all").labels, LABELS)
    found = idx.read(folder, ReadOptions())
    assert found.labels_from == f"file {labels!r}, file {labels_name(test)!r}"
    assert found.passed_over == ()


QMNIST = np.stack([LABELS, *[RNG.integers(0, 9999, 30) for _ in range(7)]], 1).astype("i4")


def test_the_class_of_qmnist_is_the_first_column(tmp_path):
    folder = write_set(
        tmp_path / "f",
        ("qmnist-train-images-idx3-ubyte.gz", IMAGES),
        ("qmnist-train-labels-idx2-int.gz", QMNIST),
        ("qmnist-test-images-idx3-ubyte", IMAGES),
        ("qmnist-test-labels-idx2-int", QMNIST),
    )
    data = load(folder)
    np.testing.assert_array_equal(data.test.labels, LABELS)
    assert data.num_classes == 3
    found = idx.read(folder / "qmnist-test-images-idx3-ubyte", ReadOptions())
    assert found.labels_from == "first column of file 'qmnist-test-labels-idx2-int'"
    write(folder / "qmnist-test-labels-idx2-int", QMNIST[:, :4], ">i4")
    with pytest.raises(DataError, match=r"labels have the shape \(30, 4\)"):
        load(folder)


def test_several_sets_in_a_folder_are_refused_and_named(tmp_path):
    names = [
        f"emnist-{kind}-{part}-{what}-ubyte.gz"
        for kind in ("letters", "digits")
        for part in ("train", "test")
        for what in ("images-idx3", "labels-idx1")
    ]
    folder = write_set(tmp_path / "f", *((name, IMAGES if "images" in name else LABELS) for name in names))
    with pytest.raises(
        DataError, match=r"several sets of idx files: 'emnist-digits', 'emnist-letters'\. Give the path"
    ):
        load(folder)
    assert load(folder / "emnist-letters-test-images-idx3-ubyte.gz").num_classes == 3


def test_what_else_lies_in_the_folder_is_counted(tmp_path):
    folder = write_set(
        tmp_path / "f",
        ("train-images.idx3-ubyte", IMAGES),
        ("train-images.idx3-ubyte.gz", IMAGES),
        ("t10k-images.idx3-ubyte", IMAGES),
        ("t10k-labels.idx1-ubyte", LABELS),
        ("other-labels.idx1-ubyte", LABELS),
    )
    (folder / "readme.txt").write_text("by me")
    (folder / "train-images-idx3-ubyte").mkdir()
    found = idx.read(folder, ReadOptions())
    assert found.passed_over == ("1 file of .txt", "1 file of the idx format", "1 folder")
    assert isinstance(found.parts[0].x, np.memmap)
    assert found.parts[0].labels is None


def test_files_that_can_be_the_same_part_are_refused(tmp_path):
    folder = write_set(tmp_path / "f", ("train-images.idx3-ubyte", IMAGES), ("train-images-idx3-ubyte", IMAGES))
    with pytest.raises(
        DataError, match=r"'train-images-idx3-ubyte', 'train-images.idx3-ubyte' can be the images of one"
    ):
        load(folder)
    folder = write_set(tmp_path / "g", ("train-images-idx3-ubyte", IMAGES), ("images-idx3-ubyte", IMAGES))
    with pytest.raises(DataError, match="where training and test images are needed, or one file alone"):
        load(folder)


@pytest.mark.parametrize("names", [("x.idx3-ubyte", "x.idx1-ubyte"), ("images.idx3-ubyte", "labels.idx1-ubyte")])
def test_one_file_of_images_in_a_folder(tmp_path, names):
    large = RNG.integers(0, 256, (30, 7, 8), dtype=np.uint8)
    folder = write_set(tmp_path / "f", (names[0], large), (names[1], LABELS))
    for path in (folder, folder / names[0]):
        data = load(path)
        np.testing.assert_array_equal(data.split("all").array()[:, 0], large)
        np.testing.assert_array_equal(data.split("all").labels, LABELS)


def test_a_file_of_labels_alone_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"holds labels, by its name\. Give the file of the images"):
        load(write(tmp_path / "train-labels-idx1-ubyte", LABELS))


def test_more_axes_ask_for_their_channels(tmp_path):
    stereo = RNG.integers(0, 256, (30, 2, 8, 9), dtype=np.uint8)
    path = write(tmp_path / "norb-idx4-ubyte", stereo)
    with pytest.raises(DataError, match=r"data\.channels=first reads 30 images of 8 x 9 with 2 channels"):
        load(path)
    np.testing.assert_array_equal(load(path, channels="first").split("all").array(), stereo)
    volumes = RNG.integers(0, 256, (30, 1, 5, 8, 9), dtype=np.uint8)
    np.testing.assert_array_equal(load(write(tmp_path / "v-idx5-ubyte", volumes)).split("all").array(), volumes)


def test_a_damaged_xz_is_refused(tmp_path):
    path = write(tmp_path / "x-idx3-ubyte.xz", IMAGES)
    whole = path.read_bytes()
    for broken in (whole[: len(whole) // 2], b"no xz at all", whole[:-8] + b"12345678"):
        path.write_bytes(broken)
        with pytest.raises(DataError, match="cannot be read as idx"):
            load(path)
