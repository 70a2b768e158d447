from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from scipy import io

from aaeframe.configuration.reading import ReadOptions
from aaeframe.data import load
from aaeframe.data.readers import limits, mat
from aaeframe.errors import DataError

RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, (8, 9, 3, 40), dtype=np.uint8)
FACES = RNG.integers(0, 256, (60, 6, 6), dtype=np.uint8)


def test_svhn(tmp_path):
    y = (np.arange(40) % 10 + 1).astype(np.uint8)[:, None]
    io.savemat(tmp_path / "train_32x32.mat", {"X": X, "y": y})
    data = load(tmp_path / "train_32x32.mat")
    assert data.spec.shape == (3, 8, 9)
    rows = data.train.index
    np.testing.assert_array_equal(data.train.array(), X.transpose(3, 2, 0, 1)[rows])
    np.testing.assert_array_equal(data.train.labels, y[rows, 0] % 10)
    assert data.train.data.flags.c_contiguous


def test_other_labels_in_svhns_layout_stay(tmp_path):
    io.savemat(tmp_path / "a.mat", {"X": X, "y": np.arange(40)[:, None] % 10})
    data = load(tmp_path / "a.mat")
    np.testing.assert_array_equal(data.test.labels, data.test.index % 10)


def test_names_as_in_npz(tmp_path):
    x = RNG.standard_normal((30, 5))
    io.savemat(tmp_path / "a.mat", {"images": x, "who": np.arange(30) % 3 + 1.0})
    data = load(tmp_path / "a.mat", label_key="who")
    np.testing.assert_array_equal(data.train.array(), x[data.train.index])
    assert data.class_names == ("1", "2", "3")


def test_the_toronto_faces_by_their_first_fold(tmp_path):
    folds = np.zeros((60, 5), np.uint8)
    folds[30:50, 0], folds[50:54, 0], folds[54:, 0] = 1, 2, 3
    labels = np.where(folds[:, 0] > 0, np.arange(60) % 2 + 1, -1)
    io.savemat(tmp_path / "TFD_48x48.mat", {"images": FACES, "labs_ex": labels[:, None], "folds": folds})
    data = load(tmp_path / "TFD_48x48.mat")
    np.testing.assert_array_equal(data.train.array()[:, 0], FACES[:50])
    np.testing.assert_array_equal(data.validation.array()[:, 0], FACES[50:54])
    np.testing.assert_array_equal(data.test.array()[:, 0], FACES[54:])
    assert data.train.labels.tolist() == [-1] * 30 + [0, 1] * 10
    assert data.validation.labels.tolist() == [0, 1, 0, 1]
    assert data.class_names == ("1", "2")


@pytest.mark.parametrize("unlabeled", [0, 1])
def test_the_toronto_faces_without_folds(tmp_path, unlabeled):
    labels = np.arange(60) % 7 + 1
    labels[:unlabeled] = -1
    io.savemat(tmp_path / "TFD_48x48.mat", {"images": FACES, "labs_ex": labels})
    data = load(tmp_path / "TFD_48x48.mat")
    assert (len(data.train), len(data.validation), len(data.test)) == (48, 6, 6)
    assert data.num_classes == 7
    np.testing.assert_array_equal(data.split("all").labels, np.where(labels > 0, labels - 1, -1))


def test_tfd_by_name_is_looked_for_in_the_users_folder(tmp_path, monkeypatch):
    with pytest.raises(DataError, match=r"cannot be downloaded.*TFD_48x48.mat into a folder and set AAEFRAME_DATA"):
        load("tfd")
    monkeypatch.setenv("AAEFRAME_DATA", str(tmp_path))
    with pytest.raises(DataError, match="cannot be downloaded"):
        load("tfd")
    io.savemat(tmp_path / "TFD_48x48.mat", {"images": FACES, "labs_ex": np.arange(60) % 7 + 1})
    assert load("tfd").spec.shape == (1, 6, 6)


def test_labels_and_folds_must_fit_the_faces(tmp_path):
    io.savemat(tmp_path / "a.mat", {"images": FACES, "labs_ex": np.ones(59)})
    with pytest.raises(DataError, match="60 images have 59 labels in labs_ex"):
        load(tmp_path / "a.mat")
    io.savemat(tmp_path / "a.mat", {"images": FACES, "labs_ex": np.ones(60), "folds": np.ones((5, 60))})
    with pytest.raises(DataError, match=r"folds has the shape \(5, 60\); it needs one row for each of 60"):
        load(tmp_path / "a.mat")


def test_a_broken_file_is_refused(tmp_path):
    io.savemat(tmp_path / "a.mat", {"x": RNG.standard_normal((30, 5))}, do_compression=True)
    whole = (tmp_path / "a.mat").read_bytes()
    (tmp_path / "a.mat").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="cannot be read as a MATLAB file"):
        load(tmp_path / "a.mat")
    (tmp_path / "a.mat").write_bytes(b"nonsense" * 40)
    with pytest.raises(DataError, match="cannot be read as a MATLAB file"):
        load(tmp_path / "a.mat")


def test_a_newer_file_says_how_to_save_it(tmp_path):
    header = b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM"
    (tmp_path / "a.mat").write_bytes(header + b"\x89HDF" * 100)
    with pytest.raises(DataError, match=r"is a MATLAB 7.3 file. Save it again with `save -v7`"):
        load(tmp_path / "a.mat")


def test_what_is_no_array_of_numbers_is_refused(tmp_path):
    cells = np.empty((12, 2), object)
    cells[:] = "a"
    io.savemat(tmp_path / "a.mat", {"x": cells})
    with pytest.raises(DataError, match="of type cell; it must be real numbers"):
        load(tmp_path / "a.mat")


def matrix(*, lengths=(12, 3), kind=9, flags=0, stored=2, declared=36, size=36):
    """A .mat file of one variable x, class `kind`, its values `declared` bytes of type `stored`; `size` are there."""
    head = struct.pack("<IIII", 6, 8, kind | flags, 0) + struct.pack(
        f"<II{len(lengths)}i", 5, 4 * len(lengths), *lengths
    )
    body = head + struct.pack("<HH4s", 1, 1, b"x") + struct.pack("<II", stored, declared) + bytes(size)
    return b"MATLAB 5.0 MAT-file".ljust(124) + b"\0\1IM" + struct.pack("<II", 14, len(body)) + body


def packed(whole):
    content = zlib.compress(whole[128:])
    return whole[:128] + struct.pack("<II", 15, len(content)) + content


@pytest.mark.parametrize("form", [bytes, packed], ids=["plain", "compressed"])
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"stored": 8}, "has an element of type 8, where"),  # scipy crashes
        ({"stored": 99}, "has an element of type 99, where"),  # scipy crashes
        ({"lengths": (), "kind": 4, "stored": 4, "declared": 0, "size": 0}, "cannot tell which array"),  # scipy crashes
        ({"declared": 2**32 - 100}, "has values of 4294967196 bytes"),
        ({"flags": 0x800}, "a.mat: x is of complex numbers, where only real ones can be data"),
        ({"lengths": (-12, -3)}, "lengths cannot be negative"),
        ({"lengths": (2**31 - 1, 2**30)}, "GiB are read into memory"),
        ({"kind": 5}, "x is of type sparse; it must be real numbers"),
        ({"kind": 200}, "x is of type unknown; it must be real numbers"),
    ],
)
def test_a_variable_that_lies_is_refused_before_it_is_loaded(tmp_path, form, wrong, message, monkeypatch):
    (tmp_path / "a.mat").write_bytes(form(matrix()))
    assert load(tmp_path / "a.mat", rows="first").spec.shape == (3,)
    monkeypatch.setattr(io, "loadmat", lambda *_, **__: pytest.fail("it was loaded"))
    (tmp_path / "a.mat").write_bytes(form(matrix(**wrong)))
    with pytest.raises(DataError, match=message):
        load(tmp_path / "a.mat")


def test_a_variable_that_unfolds_to_more_than_it_declares_is_refused(tmp_path, monkeypatch):
    whole = matrix()
    monkeypatch.setattr(io, "loadmat", lambda *_, **__: pytest.fail("it was loaded"))
    (tmp_path / "a.mat").write_bytes(packed(whole + bytes(2**24)))
    with pytest.raises(DataError, match=r"a variable unfolds to more than the \d+ bytes it declares"):
        load(tmp_path / "a.mat")
    monkeypatch.setattr(limits, "GENEROUS", 2**20)
    (tmp_path / "a.mat").write_bytes(packed(matrix(declared=2**24, size=2**24)))
    with pytest.raises(DataError, match=r"the header declares 0\.0 GiB, over 500 times the \d+,\d+ bytes"):
        load(tmp_path / "a.mat")


def saved(tmp_path, **arrays):
    io.savemat(tmp_path / "a.mat", arrays)
    return tmp_path / "a.mat"


def test_variables_that_are_not_data_are_passed_over_and_named(tmp_path):
    x = RNG.standard_normal((30, 5))
    about = {"by": "me", "more": np.array(["a", x], object)}
    cells = np.array(["a", x], object)
    path = saved(tmp_path, x=x, about=about, cells=cells, n=30.0, title="faces", wave=x * 1j, who=np.arange(30))
    found = mat.read(path, ReadOptions(label_key="who"))
    np.testing.assert_array_equal(found.parts[0].x, x)
    np.testing.assert_array_equal(found.parts[0].labels, np.arange(30))
    assert found.labels_from == "array 'who'"
    assert found.passed_over == (
        "array 'about' of type struct",
        "array 'cells' of type cell",
        "arrays 'n', 'wave'",
        "array 'title' of type char",
    )


FF = RNG.integers(0, 256, (56, 196), dtype=np.uint8)


@pytest.mark.parametrize("form", ["5", "4"])
def test_a_matrix_without_labels_is_refused_with_both_readings(tmp_path, form):
    io.savemat(tmp_path / "frey.mat", {"ff": FF}, format=form)
    both = (
        r"ff is 56 x 196, and no labels tell which axis is the rows\. Give data\.rows=first to read 56 rows of 196, or "
        r"data\.rows=last to read 196 rows of 56"
    )
    with pytest.raises(DataError, match=both):
        load(tmp_path / "frey.mat")
    np.testing.assert_array_equal(load(tmp_path / "frey.mat", rows="first").split("all").array(), FF)
    np.testing.assert_array_equal(load(tmp_path / "frey.mat", rows="last").split("all").array(), FF.T)


def test_a_stack_without_labels_is_refused_with_both_readings(tmp_path):
    stack = RNG.integers(0, 256, (28, 20, 40), dtype=np.uint8)
    path = saved(tmp_path, images=stack)
    with pytest.raises(
        DataError, match=r"first to read 28 rows of 20 x 40, or data\.rows=last to read 40 rows of 28 x 20"
    ):
        load(path)
    data = load(path, rows="last")
    assert data.train.shape == (1, 28, 20)
    np.testing.assert_array_equal(data.split("all").array()[:, 0], np.moveaxis(stack, -1, 0))
    np.testing.assert_array_equal(load(path, rows="first").split("all").array()[:, 0], stack)


@pytest.mark.parametrize("across", [False, True])
@pytest.mark.parametrize("shape", [(30, 5), (30, 7, 8), (30, 7, 8, 3), (30, 3, 7, 8)])
@pytest.mark.parametrize("last", [False, True])
def test_the_number_of_labels_decides(tmp_path, shape, last, across):
    rows = RNG.integers(0, 256, shape, dtype=np.uint8)
    labels = np.arange(30) % 4 + 3
    stored = np.moveaxis(rows, 0, -1) if last else rows
    path = saved(tmp_path, data=stored, label=labels[None] if across else labels[:, None])
    data = load(path)
    expected = rows if rows.ndim == 2 else rows[:, None] if rows.ndim == 3 else rows
    np.testing.assert_array_equal(data.split("all").array(), np.moveaxis(rows, -1, 1) if shape[-1] == 3 else expected)
    assert [data.class_names[label] for label in data.split("all").labels] == labels.astype(str).tolist()


def test_labels_that_fit_both_axes_decide_nothing(tmp_path):
    square = RNG.standard_normal((30, 30))
    path = saved(tmp_path, x=square, y=np.arange(30) % 2)
    with pytest.raises(DataError, match=r"x is 30 x 30, and 30 labels fit both\. Give data\.rows=first to read"):
        load(path)
    np.testing.assert_array_equal(load(path, rows="last").split("all").array(), square.T)


def test_labels_that_fit_no_axis_are_refused(tmp_path):
    with pytest.raises(
        DataError, match=r"labels have the shape \(1, 29\); 30 or 5 rows need as many.*data\.drop=\[y\]"
    ):
        load(saved(tmp_path, x=np.ones((30, 5)), y=np.arange(29)))


@pytest.mark.parametrize(
    ("shape", "rows"),
    [((8, 9, 3, 40), "last"), ((3, 8, 9, 40), "last"), ((40, 8, 9, 3), "first"), ((40, 3, 8, 9), "first")],
)
def test_four_axes_have_their_channels_next_to_the_rows(tmp_path, shape, rows):
    x = RNG.integers(0, 256, shape, dtype=np.uint8)
    data = load(saved(tmp_path, X=x))
    assert (len(data.split("all")), data.train.shape) == (40, (3, 8, 9))
    moved = np.moveaxis(x, -1, 0) if rows == "last" else x
    np.testing.assert_array_equal(data.split("all").array(), np.moveaxis(moved, moved.shape.index(3), 1))


def test_four_axes_with_two_readings_are_refused(tmp_path):
    path = saved(tmp_path, X=RNG.standard_normal((40, 3, 3, 50)))
    with pytest.raises(DataError, match=r"X is 40 x 3 x 3 x 50, and no labels.*last to read 50 rows of 40 x 3 x 3"):
        load(path)
    assert load(path, rows="last", channels="last").train.shape == (3, 40, 3)
    assert load(path, rows="first", channels="first").train.shape == (3, 3, 50)


def test_ids_and_texts(tmp_path):
    x = RNG.standard_normal((30, 5))
    names = np.array([f"row {i:02}" for i in range(30)])
    kinds = np.array(["cat", "owl"])[np.arange(30) % 2]
    path = saved(tmp_path, x=x.T, y=kinds, name=names, number=np.arange(30.0)[:, None])
    found = mat.read(path, ReadOptions(ids="name")).parts[0]
    assert found.ids.tolist() == names.tolist()
    assert found.labels.tolist() == kinds.tolist()
    np.testing.assert_array_equal(found.x, x)
    assert mat.read(path, ReadOptions(ids="number")).parts[0].ids.tolist() == list(range(30))


def test_a_single_vector_has_two_readings(tmp_path):
    io.savemat(tmp_path / "a.mat", {"hr": np.ones((30, 1))})
    with pytest.raises(DataError, match=r"rows=first to read 30 rows of 1, or data\.rows=last to read 1 row of 30"):
        load(tmp_path / "a.mat")


def test_complex_data_is_refused_and_said_in_version_4_too(tmp_path):
    io.savemat(tmp_path / "a.mat", {"x": np.ones((30, 5)) * 1j}, format="4")
    with pytest.raises(DataError, match="must be real numbers"):
        load(tmp_path / "a.mat", rows="first")


def test_svhns_ten_is_said(tmp_path):
    y = np.arange(40)[:, None] % 10 + 1
    found = mat.read(saved(tmp_path, X=X, y=y), ReadOptions())
    assert found.labels_from == "array 'y', where 10 is the digit 0"
    found = mat.read(saved(tmp_path, data=X, y=y), ReadOptions())
    assert (found.labels_from, found.parts[0].labels.max()) == ("array 'y'", 10)
