from __future__ import annotations

import numpy as np
import pytest

import aaeframe
from aaeframe.data import from_arrays
from aaeframe.data.classes import as_classes
from aaeframe.errors import DataError

SMALL = {
    "network": "mlp(hidden=[8])",
    "discriminator": "mlp(hidden=[8])",
    "prior": "y=categorical(classes=2)+style=gaussian(size=2)",
}


def NA():
    """An object that is like pandas.NA: it has its type's name, and equals nothing."""

    def unknown(self, other):
        raise TypeError("boolean value of NA is ambiguous")

    return type("NAType", (), {"__eq__": unknown, "__ne__": unknown, "__hash__": object.__hash__})()


def one(labels):
    (found,), names = as_classes([np.asarray(labels)], [len(labels)], "mine")
    return found.tolist(), names


@pytest.mark.parametrize(
    ("labels", "indices", "names"),
    [
        ([0, 2, 1, 1], [0, 2, 1, 1], ("0", "1", "2")),
        ([1, 3, 2], [0, 2, 1], ("1", "2", "3")),
        ([30, 4, 30], [1, 0, 1], ("4", "30")),
        ([1.0, 0.0], [1, 0], ("0", "1")),
        ([True, False], [1, 0], ("0", "1")),
        (["dog", "cat", "dog"], [1, 0, 1], ("cat", "dog")),
    ],
)
def test_labels_become_indices_and_keep_their_names(labels, indices, names):
    assert one(labels) == (indices, names)


@pytest.mark.parametrize(
    ("labels", "indices", "names"),
    [
        (np.array([2, -1, 0, 2]), [1, -1, 0, 1], ("0", "2")),
        (np.array([2, np.nan, 0, -1]), [1, -1, 0, -1], ("0", "2")),
        (np.array([-1, 0, 1]), [-1, 0, 1], ("0", "1")),
        (np.array(["dog", "", "cat"]), [1, -1, 0], ("cat", "dog")),
        (np.array(["1", "-1"]), [1, 0], ("-1", "1")),
        (np.array([1.0, np.nan]), [0, -1], ("1",)),
        (np.array([1, None, NA()], object), [0, -1, -1], ("1",)),
        (np.array(["dog", NA(), "cat"], object), [1, -1, 0], ("cat", "dog")),
        (np.array(["dog ", " ", " cat", "dog "]), [1, -1, 0, 1], ("cat", "dog")),
        (np.array(["dog ", "dog", " "]), [1, 0, -1], ("dog", "dog ")),
        (np.array(["dog", None, "cat", np.nan, ""], object), [1, -1, 0, -1, -1], ("cat", "dog")),
        (np.array([3, None, 1.0, np.float32("nan"), -1], object), [1, -1, 0, -1, -1], ("1", "3")),
        (np.array([True, None, False], object), [1, -1, 0], ("0", "1")),
    ],
)
def test_rows_without_a_label_are_minus_one(labels, indices, names):
    assert one(labels) == (indices, names)


@pytest.mark.parametrize(
    "labels",
    [np.full(3, -1), np.full(3, np.nan), np.array(["", "", ""]), np.array([None] * 3), np.array([-1, np.nan, -1])],
)
def test_without_any_label_there_are_no_classes(labels):
    assert as_classes([labels], [3], "mine") == ([None], None)


def test_a_part_in_which_no_row_has_a_label():
    parts, names = as_classes([np.array([4, -1]), np.array([-1, -1])], [2, 2], "mine")
    assert (parts[0].tolist(), parts[1].tolist(), names) == ([0, -1], [-1, -1], ("4",))


def test_labels_given_with_a_list_may_have_gaps():
    x = np.random.default_rng(0).random((20, 2))
    for labels in ([0, None, 1, float("nan")] * 5, ["a", None, "b", float("nan")] * 5):
        run = aaeframe.train((x, labels), labels="all", recipe="reduction", epochs=1, keep=False, device="cpu", **SMALL)
        assert run.data["class_names"] == (["0", "1"] if labels[0] == 0 else ["a", "b"])


def test_parts_share_their_classes():
    (train, none, test), names = as_classes([np.array([5, 7]), None, np.array([9, 5, 7])], [2, 4, 3], "mine")
    assert none is None
    assert (train.tolist(), test.tolist(), names) == ([0, 1], [2, 0, 1], ("5", "7", "9"))


def test_a_column_of_labels_is_taken_as_matlab_writes_it():
    (labels,), _ = as_classes([np.array([[1.0], [0.0]])], [2], "mine")
    assert labels.shape == (2,)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.arange(9), r"labels have the shape \(9,\); 10 rows need \(10,\)"),
        (np.eye(10), r"shape \(10, 10\).*one-hot rows are `labels.argmax\(1\)`"),
        (np.zeros((2, 5)), r"shape \(2, 5\); 10 rows need"),
        (np.array([0, 1, -1, -2] + [0] * 6), r"1 labels are not class indices; the first is -2 in row 3 "),
        (np.array([0, 0.5] + [0] * 8), r"1 labels are not class indices; the first is 0.5 in row 1 "),
        (np.array([0, np.nan, np.inf] + [0] * 7), r"the first is inf in row 2 .*integers from 0 upwards, or texts"),
        (np.array([0, -np.inf] + [0] * 8), r"the first is -inf in row 1"),
        (np.array([2**63 + 5] + [0] * 9, np.uint64), r"the first is 9223372036854775813 in row 0"),
        (np.array([1, "a"] * 5, object), r"labels are of type object; they must be integers or texts"),
        (np.array([{}] * 10, object), r"labels are of type object; they must be integers or texts"),
        (np.array([0.5, None] * 5, object), r"5 labels are not class indices; the first is 0.5 in row 0 "),
        (np.array([1, -1] * 5), r"labels are -1 and 1: either two classes, or one class and rows without a label"),
        (np.array([1.0, np.nan, -1.0, 1.0, 1.0] * 2), r"Write the classes as 0 and 1, or as texts"),
        (np.array(["a", "nan"] * 5), r"labels are 'nan': it can be the name of a class, or stand for no label"),
        (np.array(["1.0", "NaN"] * 5), r"labels are 'NaN': .*Write None or an empty text"),
        (np.zeros(10, complex), r"labels are of type complex128"),
    ],
)
def test_labels_that_do_not_fit_are_refused(labels, message):
    with pytest.raises(DataError, match="^mine: .*" + message):
        from_arrays(np.zeros((10, 2)), labels, name="mine")


def test_too_many_classes_are_a_quantity():
    with pytest.raises(DataError, match="10001 different values; at most 10000 are classes"):
        one(np.arange(10_001))


def test_texts_and_numbers_do_not_mix():
    with pytest.raises(DataError, match="of one part are texts, of another numbers"):
        as_classes([np.array(["1"]), np.array([1])], [1, 1], "mine")


def test_texts_that_are_no_characters_are_refused():
    numbers = np.full(10, 0x110000, np.uint32).view("U1")
    for order in "<>":
        with pytest.raises(DataError, match="mine: the labels are texts with invalid characters"):
            from_arrays(np.zeros((10, 2)), numbers.astype(f"{order}U1") if order == ">" else numbers, name="mine")
    with pytest.raises(DataError, match=r"the class '\\ud800' has a name that is not in UTF-8"):
        from_arrays(np.zeros((10, 2)), np.array(["a", "\ud800"] * 5), name="mine")
    assert from_arrays(np.zeros((10, 2)), np.array(["a", "é"] * 5).astype(">U1")).class_names == ("a", "é")
