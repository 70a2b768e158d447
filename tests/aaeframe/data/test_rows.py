from __future__ import annotations

import numpy as np
import pytest

from aaeframe.data import load, load_rows
from aaeframe.errors import DataError

X = np.arange(12, dtype=np.float32).reshape(3, 4)


@pytest.mark.parametrize("count", [1, 3])
def test_rows_come_whole_and_in_order_however_few(tmp_path, count):
    np.save(tmp_path / "x.npy", X[:count])
    found = load_rows(tmp_path / "x.npy")
    rows, names = found.rows, found.class_names
    np.testing.assert_array_equal(rows.array(), X[:count])
    assert rows.labels is None
    assert names is None


def test_labels_are_classes_of_this_file(tmp_path):
    (tmp_path / "x.csv").write_text("a,kind\n1,z\n2,x\n3,z\n")
    found = load_rows(tmp_path / "x.csv", label_key="kind")
    rows, names = found.rows, found.class_names
    np.testing.assert_array_equal(rows.array(), [[1], [2], [3]])
    assert [names[label] for label in rows.labels] == ["z", "x", "z"]


def test_parts_of_a_file_follow_each_other(tmp_path):
    np.savez(tmp_path / "x.npz", x_train=X[:2], y_train=[1, 0], x_test=X[2:], y_test=[1])
    found = load_rows(tmp_path / "x.npz")
    rows, names = found.rows, found.class_names
    np.testing.assert_array_equal(rows.array(), X)
    np.testing.assert_array_equal(rows.labels, [1, 0, 1])
    assert names == ("0", "1")


def test_rows_of_training_and_validation_follow_each_other_however_few(tmp_path):
    for split, rows in (("train", X[:2]), ("val", X[2:])):
        (tmp_path / split).mkdir()
        np.save(tmp_path / split / "x.npy", rows)
    np.testing.assert_array_equal(load_rows(tmp_path).rows.array(), X)
    with pytest.raises(DataError, match=f"{tmp_path}: 2 rows are too few for training, validation and test"):
        load(tmp_path)


def test_rows_of_a_part_without_labels_have_none(tmp_path):
    x = np.random.default_rng(0).random((20, 3), dtype=np.float32)
    np.savez(tmp_path / "x.npz", x_train=x, y_train=np.arange(20) % 2, x_test=x)
    rows = load_rows(tmp_path / "x.npz").rows
    wanted = [*(np.arange(20) % 2), *[-1] * 20]
    assert rows.labels.tolist() == wanted
    everything = load(tmp_path / "x.npz").split("all")
    assert sorted(everything.labels.tolist()) == sorted(wanted)


def test_a_name_gives_every_row_of_the_data_set():
    found = load_rows("digits")
    rows, names = found.rows, found.class_names
    np.testing.assert_array_equal(rows.array(), load("digits").split("all").array())
    assert names == tuple("0123456789")


def test_a_mapped_file_stays_in_its_file(tmp_path):
    np.save(tmp_path / "x.npy", X)
    assert load_rows(tmp_path / "x.npy").rows.is_mapped


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (X[:0], "the data is empty"),
        (np.where(X == 5, np.inf, X), r"1 of 12 values are not finite.*the first is inf in row 1, feature 1"),
        (X.astype(str), "must be real numbers"),
    ],
    ids=["empty", "infinite", "texts"],
)
def test_what_load_refuses_is_refused(tmp_path, array, message):
    np.save(tmp_path / "x.npy", array)
    with pytest.raises(DataError, match=message):
        load_rows(tmp_path / "x.npy")


def test_what_is_not_there(tmp_path):
    with pytest.raises(DataError, match="no data set and no file"):
        load_rows(tmp_path / "x.npy")
    with pytest.raises(DataError, match="digits: is read in its own way; leave label_key out"):
        load_rows("digits", label_key="y")
