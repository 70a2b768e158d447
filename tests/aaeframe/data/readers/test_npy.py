from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest

from aaeframe.data import load
from aaeframe.data.readers import limits
from aaeframe.errors import DataError

X = np.random.default_rng(0).integers(0, 256, (40, 6), dtype=np.uint8)
Y = np.arange(40) % 4


def npy(array, **header):
    """The bytes of a .npy file, whose header may be made to lie."""
    stream = io.BytesIO()
    if not header:
        np.save(stream, array, allow_pickle=True)
    else:
        np.lib.format.write_array_header_1_0(stream, np.lib.format.header_data_from_array_1_0(array) | header)
        stream.write(array.tobytes())
    return stream.getvalue()


def zipped(path, **members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return path


def test_npy_is_mapped(tmp_path):
    np.save(tmp_path / "x.npy", X)
    data = load(str(tmp_path / "x.npy"))
    assert data.train.is_mapped
    np.testing.assert_array_equal(data.validation.array(), X[data.validation.index])


def test_npy_in_fortran_order(tmp_path):
    np.save(tmp_path / "x.npy", np.asfortranarray(X))
    data = load(tmp_path / "x.npy")
    np.testing.assert_array_equal(data.train.rows(np.array([4, 2])), X[data.train.index[[4, 2]]])


@pytest.mark.parametrize(
    ("x", "y"), [("x", "y"), ("X", "Y"), ("images", "labels"), ("data", "targets"), ("arr_0", "y")]
)
def test_npz_by_the_usual_names(tmp_path, x, y):
    np.savez_compressed(tmp_path / "a.npz", **{x: X, y: Y, "note": np.zeros(3)})
    data = load(tmp_path / "a.npz")
    assert not data.train.is_mapped
    np.testing.assert_array_equal(data.train.array(), X[data.train.index])
    np.testing.assert_array_equal(data.train.labels, Y[data.train.index])


def test_npz_with_one_large_array(tmp_path):
    np.savez(tmp_path / "a.npz", faces=X, ages=Y)
    assert load(tmp_path / "a.npz").num_classes is None
    data = load(tmp_path / "a.npz", label_key="ages")
    np.testing.assert_array_equal(data.test.labels, Y[data.test.index])


def test_npz_with_parts(tmp_path):
    np.savez(tmp_path / "a.npz", x_train=X, y_train=Y, x_test=X[:5], y_test=Y[:5])
    data = load(tmp_path / "a.npz")
    assert (len(data.train), len(data.validation), len(data.test)) == (36, 4, 5)
    np.testing.assert_array_equal(data.test.array(), X[:5])
    np.savez(tmp_path / "b.npz", X_train=X[:20], X_val=X[20:22], X_test=X[30:], y_test=Y[30:])
    data = load(tmp_path / "b.npz")
    assert (len(data.train), len(data.validation), len(data.test)) == (20, 2, 10)
    np.testing.assert_array_equal(data.validation.array(), X[20:22])
    assert data.train.labels is None
    assert data.test.labels.tolist() == Y[30:].tolist()


def test_npz_labels_may_be_texts(tmp_path):
    np.savez(tmp_path / "a.npz", x=X, y=np.array(["cat", "dog"])[Y % 2])
    assert load(tmp_path / "a.npz").class_names == ("cat", "dog")


def test_parts_must_be_alike(tmp_path):
    np.savez(tmp_path / "a.npz", x_train=X, x_test=X[:, :5])
    with pytest.raises(DataError, match=r"parts differ: rows of \(6,\) uint8 and of \(5,\) uint8"):
        load(tmp_path / "a.npz")
    np.savez(tmp_path / "a.npz", x_train=X, x_test=X / 255)
    with pytest.raises(DataError, match=r"uint8 and of \(6,\) float64"):
        load(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("arrays", "labels", "message"),
    [
        (
            {"a": X, "b": X},
            None,
            r"which array is the data. The file holds a \(40, 6\), b \(40, 6\); name the data",
        ),
        ({"a": Y}, None, r"The file holds a \(40,\)"),
        ({}, None, "The file holds no arrays"),
        ({f"a{i}": Y for i in range(20)}, None, r"a11 \(40,\), and 8 more arrays; name"),
        ({"x": X, "y": Y}, "z", r"no labels named 'z'. The file holds x \(40, 6\), y \(40,\)"),
        ({"x": X}, "x", "which array is the data"),
        ({"x_train": X, "x_test": X, "q": Y}, "q", "each part of the file has labels of its own"),
        ({"x": X, "y": Y[:-1]}, None, r"labels have the shape \(39,\)"),
        ({"x": X[:0]}, None, "is empty"),
    ],
)
def test_an_npz_that_is_unclear_says_what_it_holds(tmp_path, arrays, labels, message):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(DataError, match=message):
        load(tmp_path / "a.npz", label_key=labels)


PICKLED = npy(np.array([{"a": 1}, None], dtype=object))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (PICKLED, r"holds Python objects, which are never loaded\. Save numbers or texts"),
        (npy(X)[:-1], r"declares \(40, 6\) uint8, only 239 bytes follow"),
        (npy(X, shape=(2**40, 2**20)), "bytes follow|GiB"),
        (npy(X, shape=(-40, -6)), "cannot be negative"),
        (npy(X)[:9], "is not a .npy array"),
        (b"\x93NUMPY\x03\x00" + npy(X)[8:], "of the format's version 3.0"),
        (b"PK or anything else", "is not a .npy array"),
    ],
)
def test_a_wrong_array_is_refused(tmp_path, content, message):
    path = tmp_path / "x.npy"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        load(path)
    with pytest.raises(DataError, match=message):
        load(zipped(tmp_path / "x.npz", x=content))


def test_an_empty_array_is_refused(tmp_path):
    np.save(tmp_path / "x.npy", X[:0])
    with pytest.raises(DataError, match=r"is empty: its shape is \(0, 6\)"):
        load(tmp_path / "x.npy")


def test_pickled_labels_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"y.npy: holds Python objects"):
        load(zipped(tmp_path / "x.npz", x=npy(X), y=PICKLED))


def test_an_array_too_large_for_memory_is_refused_before_it_is_read(tmp_path):
    with pytest.raises(
        DataError, match=r"64\.0 GiB; at most [\d.]+ GiB are read into memory. Save larger data as .npy"
    ):
        load(zipped(tmp_path / "x.npz", x=npy(X, shape=(2**16, 2**20))))


def test_data_larger_than_memory_is_not_read_when_it_is_loaded(tmp_path):
    row = 2**24
    header = npy(np.zeros((1, 1), np.uint8), shape=(1100, row))[:-1]
    with (tmp_path / "x.npy").open("wb") as stream:
        stream.write(header)
        stream.seek(1000 * row, 1)
        stream.write(b"\x07")
        stream.truncate(len(header) + 1100 * row)  # 17 GiB of which the disk holds a page or two
    data = load(tmp_path / "x.npy", scale="pixels")
    parts = (data.train, data.validation, data.test)
    assert sum(split.nbytes for split in parts) == 1100 * row
    split, where = next((s, np.flatnonzero(s.index == 1000)) for s in parts if 1000 in s.index)
    assert split.rows(where)[0, :2].tolist() == [7, 0]


@pytest.mark.parametrize("keep", [0.5, 0.9])
def test_a_truncated_archive_is_refused(tmp_path, keep):
    np.savez_compressed(tmp_path / "a.npz", x=X)
    whole = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "a.npz").write_bytes(whole[: int(len(whole) * keep)])
    with pytest.raises(DataError, match=r"cannot be read as .npz: .*Write it again"):
        load(tmp_path / "a.npz")


def test_a_flipped_bit_is_found(tmp_path):
    np.savez(tmp_path / "a.npz", x=X)
    whole = bytearray((tmp_path / "a.npz").read_bytes())
    whole[whole.index(X.tobytes())] ^= 1
    (tmp_path / "a.npz").write_bytes(whole)
    with pytest.raises(DataError, match="Bad CRC-32"):
        load(tmp_path / "a.npz")


def test_an_archive_that_unfolds_to_gigabytes_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "GENEROUS", 2**20)
    np.savez_compressed(tmp_path / "x.npz", x=np.zeros((2**11, 2**11), np.uint8))
    with pytest.raises(DataError, match=r"x\.npy: the header declares 0\.0 GiB, over 500 times the \d,\d+ bytes"):
        load(tmp_path / "x.npz")
    np.savez(tmp_path / "x.npz", x=np.zeros((2**11, 2**11), np.uint8))
    assert len(load(tmp_path / "x.npz").train) == 1640


def test_more_than_the_memory_of_the_machine_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "_memory", lambda: 2**31)
    with pytest.raises(DataError, match=r"4\.0 GiB; at most 2 GiB are read into memory"):
        load(zipped(tmp_path / "x.npz", x=npy(X, shape=(2**12, 2**20))))
