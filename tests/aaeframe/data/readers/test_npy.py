from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest

from aaeframe.configuration.reading import ReadOptions
from aaeframe.data import load
from aaeframe.data.readers import limits
from aaeframe.data.readers.npy import read_npz
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
    ("x", "y"),
    [
        ("x", "y"),
        ("X", "Y"),
        ("images", "labels"),
        ("data", "targets"),
        ("data", "target"),
        ("data", "label"),
        ("Data", "Class"),
        ("features", "classes"),
        ("faces", "target"),
        ("arr_0", "y"),
        ("arr_0", "arr_1"),
    ],
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


RNG = np.random.default_rng(1)
IMAGES = RNG.integers(0, 256, (40, 8, 8), dtype=np.uint8)


def raw(path, **options):
    """The result of the reader."""
    return read_npz(path, ReadOptions(**options))


def test_labels_and_what_was_not_read_are_named(tmp_path):
    np.savez(tmp_path / "a.npz", X=X, y=Y, fold=Y, weights=Y / 2, about=np.array([{"a": 1}, None], object))
    found = raw(tmp_path / "a.npz")
    assert found.labels_from == "array 'y'"
    assert found.passed_over == ("arrays 'fold', 'weights'", "array 'about' of Python objects")
    found = raw(tmp_path / "a.npz", label_key="fold", ids="y", drop=("weights",))
    assert found.labels_from == "array 'fold'"
    assert found.passed_over == ("array 'weights'", "array 'about' of Python objects")
    np.testing.assert_array_equal(found.parts[0].ids, Y)


@pytest.mark.parametrize("unneeded", ["objects", "broken", "version 3", "too large", "file"])
def test_what_nobody_needs_is_left_alone(tmp_path, unneeded):
    path = tmp_path / "a.npz"
    other = {
        "objects": npy(np.array([{"a": 1}], object)),
        "broken": b"nonsense",
        "version 3": npy(np.zeros(3, [("größe", "f4")])),
        "too large": npy(X, shape=(2**20, 2**30)),
    }.get(unneeded, b"")
    zipped(path, X=npy(X), y=npy(Y), **({} if unneeded == "file" else {"metadata": other}))
    if unneeded == "file":
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("readme.txt", "by me")
    data = load(path)
    np.testing.assert_array_equal(data.train.array(), X[data.train.index])
    np.testing.assert_array_equal(data.train.labels, Y[data.train.index])
    (said,) = raw(path).passed_over
    assert said.startswith("1 member that is no array" if unneeded == "file" else "array 'metadata'")


@pytest.mark.parametrize("ending", [(40,), (40, 1)])
def test_arr_1_is_labels_only_if_it_has_one_for_each_row(tmp_path, ending):
    np.savez(tmp_path / "a.npz", X, Y.reshape(ending))
    np.testing.assert_array_equal(load(tmp_path / "a.npz").split("all").labels, Y)
    np.savez(tmp_path / "a.npz", X, Y[:-1])
    assert load(tmp_path / "a.npz").num_classes is None
    assert raw(tmp_path / "a.npz").passed_over == ("array 'arr_1'",)
    np.savez(tmp_path / "a.npz", X, Y, X[:5], Y[:5])
    with pytest.raises(DataError, match=r"cannot tell which array is the data.*data\.drop=\[arr_2\]"):
        load(tmp_path / "a.npz")


MEDMNIST = {
    f"{part}_{what}": array
    for part, count in (("train", 20), ("val", 8), ("test", 12))
    for what, array in (("images", IMAGES[:count] + len(part)), ("labels", Y[:count, None]))
}


def test_the_names_of_medmnist(tmp_path):
    np.savez(tmp_path / "a.npz", **MEDMNIST)
    data = load(tmp_path / "a.npz")
    for part, split in (("train", data.train), ("val", data.validation), ("test", data.test)):
        np.testing.assert_array_equal(split.array()[:, 0], MEDMNIST[f"{part}_images"])
        np.testing.assert_array_equal(split.labels, MEDMNIST[f"{part}_labels"][:, 0])
    assert raw(tmp_path / "a.npz").labels_from == "arrays 'train_labels', 'val_labels', 'test_labels'"


@pytest.mark.parametrize(
    ("train", "test", "train_labels", "test_labels"),
    [
        ("X_train", "X_test", "y_train", "y_test"),
        ("train_x", "test_x", "train_y", "test_y"),
        ("trainX", "testX", "trainY", "testY"),
        ("xtrain", "xtest", "ytrain", "ytest"),
        ("train_data", "test_data", "train_label", "test_label"),
        ("training_images", "testing_images", "training_target", "testing_target"),
        ("train", "test", "train_labels", "test_labels"),
        ("x-train", "x-test", "labels-train", "labels-test"),
    ],
)
def test_parts_by_other_names(tmp_path, train, test, train_labels, test_labels):
    np.savez(tmp_path / "a.npz", **{train: X[:25], test: X[25:], train_labels: Y[:25], test_labels: Y[25:]})
    data = load(tmp_path / "a.npz")
    np.testing.assert_array_equal(data.test.array(), X[25:])
    np.testing.assert_array_equal(data.test.labels, Y[25:])
    assert raw(tmp_path / "a.npz").passed_over == ()


def test_the_keys_of_parts_are_what_they_have_in_common(tmp_path):
    fine = {
        "fine_train": Y[:25] + 10,
        "fine_test": Y[25:] + 10,
        "name_train": np.arange(25),
        "name_test": np.arange(15),
    }
    np.savez(tmp_path / "a.npz", x_train=X[:25], x_test=X[25:], y_train=Y[:25], y_test=Y[25:], **fine)
    found = raw(tmp_path / "a.npz", label_key="fine", ids="name")
    assert found.labels_from == "arrays 'fine_train', 'fine_test'"
    np.testing.assert_array_equal(found.parts[1].ids, np.arange(15))
    assert found.passed_over == ("arrays 'y_train', 'y_test'",)


def test_one_part_alone_is_the_data(tmp_path):
    np.savez(tmp_path / "a.npz", train_images=IMAGES, train_labels=Y)
    data = load(tmp_path / "a.npz")
    assert (len(data.train), len(data.test)) == (32, 4)
    np.testing.assert_array_equal(data.split("all").labels, Y)


@pytest.mark.parametrize("kind", [str, np.bytes_, int, float])
def test_ids(tmp_path, kind):
    names = np.arange(100, 140).astype(kind)
    np.savez(tmp_path / "a.npz", x=X, y=Y, sample=names[:, None])
    found = raw(tmp_path / "a.npz", ids="sample").parts[0].ids
    assert found.tolist() == (np.arange(100, 140) if kind in (int, float) else np.arange(100, 140).astype(str)).tolist()


def test_labels_may_be_bytes(tmp_path):
    np.savez(tmp_path / "a.npz", x=X, y=np.array([b"cat", b"dog"])[Y % 2])
    assert load(tmp_path / "a.npz").class_names == ("cat", "dog")
    np.savez(tmp_path / "a.npz", x=X, y=np.array([b"cat", b"\xff"])[Y % 2])
    with pytest.raises(DataError, match=r"a\.npz: y: holds texts that are not in UTF-8"):
        load(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("arrays", "options", "message"),
    [
        ({"x": X, "images": IMAGES}, {}, r"arrays 'x', 'images' can be the data.*data\.drop=\[images\]"),
        (
            {"x": X, "y": Y, "label": Y},
            {},
            r"arrays 'y', 'label' can be the labels.*data\.label_key=y, or .*=\[label\]",
        ),
        ({"data": X, "data_test": X}, {}, r"array 'data' can be the data, and so can array 'data_test'"),
        ({"x_train": X, "x_val": X}, {}, r"arrays 'x_train', 'x_val' are parts, but training and test are not both"),
        (
            {"x_train": X, "x_test": X, "train_data": X},
            {},
            r"arrays 'x_train', 'train_data' can be the data of the train",
        ),
        ({"x": X, "y": np.eye(4)[Y]}, {}, r"the labels have the shape \(40, 4\).*argmax\(1\).*data\.drop=\[y\]"),
        ({"x": X}, {"ids": "name"}, r"no ids named 'name'\. The file holds x \(40, 6\)"),
        ({"x": X, "name": Y[:-1]}, {"ids": "name"}, r"the ids have the shape \(39,\); 40 rows need"),
        ({"x": X, "name": Y / 3}, {"ids": "name"}, r"the ids are of type float64; they must be texts or whole"),
        ({"x": X}, {"drop": ("z",)}, r"there is no array 'z' to drop\. The file holds x"),
        ({"data": Y, "indices": Y, "indptr": Y, "shape": Y[:2]}, {}, r"like a sparse matrix of scipy"),
        ({"x": X + 1j}, {}, "complex128; it must be real numbers"),
    ],
)
def test_what_can_be_read_in_two_ways_names_the_option(tmp_path, arrays, options, message):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(DataError, match=message):
        load(tmp_path / "a.npz", **options)


def test_what_is_dropped_decides(tmp_path):
    np.savez(tmp_path / "a.npz", x=X, images=IMAGES, y=Y, label=Y + 1)
    data = load(tmp_path / "a.npz", drop=("x", "y"))
    assert (data.train.shape, data.class_names) == ((1, 8, 8), ("1", "2", "3", "4"))


def test_of_several_labels_the_only_one_that_fits_is_taken(tmp_path):
    np.savez(tmp_path / "a.npz", images=IMAGES, label=Y, labels=np.array(["cat", "dog", "owl", "bee"]))
    found = raw(tmp_path / "a.npz")
    assert (found.labels_from, found.passed_over) == ("array 'label'", ("array 'labels'",))


PICKLED = npy(np.array([{"a": 1}, None], dtype=object))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (PICKLED, r"holds Python objects, which are never loaded\. Save numbers or texts"),
        (npy(X)[:-1], r"declares \(40, 6\) uint8, only 239 bytes follow"),
        (npy(X) + npy(Y), r"448 bytes follow the array \(40, 6\) uint8, as after several np.save into one .*np\.savez"),
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
    monkeypatch.setattr(limits, "memory", lambda: 2**31)
    with pytest.raises(DataError, match=r"4\.0 GiB; at most 2 GiB are read into memory"):
        load(zipped(tmp_path / "x.npz", x=npy(X, shape=(2**12, 2**20))))


def test_labels_of_the_only_part_have_any_name(tmp_path):
    np.savez(tmp_path / "x.npz", x_train=np.eye(12), foo=np.arange(12) % 2, names=np.arange(12))
    found = load(tmp_path / "x.npz", label_key="foo", ids="names")
    assert found.class_names == ("0", "1")
    assert sorted(found.split("all").ids.tolist(), key=int) == [str(i) for i in range(12)]
