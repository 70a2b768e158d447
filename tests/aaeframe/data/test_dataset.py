from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.distributions import constraints

from aaeframe.data import Split, from_arrays
from aaeframe.errors import DataError


def test_rows_are_positions_in_the_split():
    split = Split(np.arange(20, dtype=np.uint8).reshape(10, 2), index=np.array([7, 3, 5]))
    assert len(split) == 3
    assert split.shape == (2,)
    np.testing.assert_array_equal(split.rows(np.array([2, 0])), [[10, 11], [14, 15]])
    np.testing.assert_array_equal(split.array(), [[14, 15], [6, 7], [10, 11]])


def test_rows_taken_are_a_split_with_their_labels_and_come_in_chunks():
    split = Split(np.arange(20, dtype=np.uint8).reshape(10, 2), np.array([7, 3, 5]), np.array([0, 1, 2]))
    taken = split.take(np.array([2, 0]))
    np.testing.assert_array_equal(taken.array(), [[10, 11], [14, 15]])
    assert taken.labels.tolist() == [2, 0]
    assert Split(split.data).take(np.array([1])).labels is None
    assert [chunk.tolist() for chunk in split.chunks(2)] == [[[14, 15], [6, 7]], [[10, 11]]]


def test_all_rows_of_a_mapped_file_stay_in_it(tmp_path):
    np.save(tmp_path / "x.npy", np.arange(40, dtype=np.float32).reshape(20, 2))
    labels = np.arange(20) % 4
    whole = from_arrays(np.load(tmp_path / "x.npy", mmap_mode="r"), labels).split("all")
    assert whole.is_mapped
    np.testing.assert_array_equal(whole.array(), np.arange(40).reshape(20, 2))
    np.testing.assert_array_equal(whole.labels, labels)


@pytest.mark.parametrize(
    ("stored", "given"),
    [
        ("uint8", "uint8"),
        ("bool", "float32"),
        ("int8", "float32"),
        (">i2", "float32"),
        ("uint16", "float32"),
        ("float16", "float32"),
        ("float32", "float32"),
        ("int32", "float64"),
        (">u8", "float64"),
        (">f8", "float64"),
    ],
)
def test_rows_are_of_the_least_type_that_holds_the_stored_values(stored, given):
    split = Split(np.ones((4, 3), stored))
    assert split.dtype == split.rows(np.array([1])).dtype == split.array().dtype == given
    assert split.nbytes == split.array().nbytes


def test_what_array_returns_is_writable_so_that_torch_takes_it():
    x = np.zeros((3, 2), np.float32)
    x.flags.writeable = False
    torch.from_numpy(Split(x).array())[0, 0] = 1.0
    assert x[0, 0] == 0.0


def test_rows_of_a_file_may_be_read_as_float32():
    x = np.random.default_rng(0).random((6, 2))
    split = Split(x, np.array([5, 1, 3]), is_single=True)
    for part in (split, split.take(np.array([0, 2]))):
        assert part.dtype == part.array().dtype == np.float32
        assert part.nbytes == part.array().nbytes
    assert Split(x.astype(np.uint8), is_single=True).dtype == np.uint8
    np.testing.assert_array_equal(split.array(), x[[5, 1, 3]].astype(np.float32))


def test_the_labeled_rows_of_a_split():
    x = np.arange(10, dtype=np.float32).reshape(5, 2)
    split = Split(x, np.array([4, 0, 2]), np.array([1, -1, 0]), np.array(["e", "a", "c"]))
    assert split.labeled.labels.tolist() == [1, 0]
    assert split.labeled.ids.tolist() == ["e", "c"]
    np.testing.assert_array_equal(split.labeled.array(), x[[4, 2]])
    assert len(Split(x).labeled) == 0
    whole = Split(x, None, np.zeros(5, np.int64))
    assert whole.labeled is whole


def test_the_splits_of_arrays_are_fixed_disjoint_and_complete():
    x = np.arange(103, dtype=np.float64)[:, None]
    data = from_arrays(x, name="numbers")
    assert (len(data.train), len(data.validation), len(data.test)) == (83, 10, 10)
    parts = [split.array().ravel() for split in (data.train, data.validation, data.test)]
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), x.ravel())
    # what default_rng(0).permutation(103) begins with: splits of published results must never move
    assert parts[2].tolist() == [5, 16, 20, 37, 39, 74, 85, 86, 96, 97]


def test_labels_follow_their_rows():
    labels = np.arange(50) % 5
    data = from_arrays(labels[:, None].astype(np.float32), labels)
    for split in (data.train, data.validation, data.test):
        np.testing.assert_array_equal(split.array().ravel(), split.labels)
        assert split.labels.dtype == np.int64
    assert data.num_classes == 5
    assert data.class_names == ("0", "1", "2", "3", "4")


def test_without_labels_there_are_no_classes():
    data = from_arrays(np.zeros((10, 2)))
    assert data.train.labels is None
    assert data.num_classes is None
    assert data.class_names is None


def test_arrays_may_be_lists_and_tensors():
    x = torch.arange(40.0).reshape(20, 2).requires_grad_()
    data = from_arrays(x, ["a", None, "b", float("nan")] * 5)
    np.testing.assert_array_equal(data.split("all").array(), x.detach())
    assert data.class_names == ("a", "b")
    assert data.split("all").labels.tolist() == [0, -1, 1, -1] * 5
    with pytest.raises(DataError, match=r"mine: is not an array: .*All rows need one shape"):
        from_arrays([[1.0, 2.0], [1.0]], name="mine")


@pytest.mark.parametrize(
    ("columns", "message"),
    [(["a"], r"mine: 1 columns are named, and rows have the shape \(2,\)"), (["a", "a"], "both named 'a'")],
)
def test_names_of_columns_must_fit(columns, message):
    with pytest.raises(DataError, match=message):
        from_arrays(np.zeros((10, 2)), columns=columns, name="mine")


def test_contiguous_arrays_are_not_copied():
    x = np.zeros((20, 3, 5, 6), np.uint8)
    assert np.shares_memory(from_arrays(x).train.data, x)


def test_nine_rows_are_too_few():
    with pytest.raises(DataError, match=r"few: 9 rows are too few .* at least 10"):
        from_arrays(np.zeros((9, 2)), name="few")


def test_ten_rows_are_enough():
    data = from_arrays(np.zeros((10, 2)))
    assert (len(data.train), len(data.validation), len(data.test)) == (8, 1, 1)


def test_masked_arrays_are_refused():
    with pytest.raises(DataError, match="masked"):
        from_arrays(np.ma.masked_array(np.zeros((10, 2)), mask=True))


def test_a_mapped_array_stays_in_its_file(tmp_path):
    x = np.random.default_rng(1).random((40, 5, 6, 3)) * 9
    np.save(tmp_path / "x.npy", x)
    data = from_arrays(np.load(tmp_path / "x.npy", mmap_mode="r"))
    assert data.train.is_mapped
    assert data.spec.shape == (3, 5, 6)
    rows = data.train.rows(np.array([1, 0]))
    assert type(rows) is np.ndarray
    expected = np.moveaxis(x, -1, 1)[data.train.index[[1, 0]]]
    np.testing.assert_array_equal(rows, expected)
    assert data.spec.support is constraints.real


@pytest.mark.parametrize("mode", ["r", "r+"])
def test_materializing_a_mapped_split_leaves_the_file(tmp_path, mode):
    np.save(tmp_path / "x.npy", np.zeros((4, 2), np.float32))
    split = Split(np.load(tmp_path / "x.npy", mmap_mode=mode))
    assert split.is_mapped
    whole = split.array()
    whole[:] = 1.0
    assert (split.data == 0.0).all()
    assert not isinstance(whole, np.memmap)
    assert not Split(whole).is_mapped
