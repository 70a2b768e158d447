from __future__ import annotations

import numpy as np
import pytest

from aaeframe.data.layout import as_rows
from aaeframe.errors import DataError


@pytest.mark.parametrize(
    ("given", "rows"),
    [
        ((5, 7), (5, 7)),
        ((5, 8, 9), (5, 1, 8, 9)),
        ((5, 8, 9, 1), (5, 1, 8, 9)),
        ((5, 8, 9, 3), (5, 3, 8, 9)),
        ((5, 8, 9, 4), (5, 4, 8, 9)),
        ((5, 3, 8, 9), (5, 3, 8, 9)),
        ((5, 3, 8, 3), (5, 3, 3, 8)),  # both could be channels: the last axis is
    ],
)
def test_the_axes_become(given, rows):
    x = np.random.default_rng(0).random(given)
    arranged = as_rows(x, "x")
    assert arranged.shape == rows
    assert np.shares_memory(arranged, x)


def test_channels_last_are_moved_not_reshaped():
    x = np.random.default_rng(0).random((2, 4, 5, 3))
    np.testing.assert_array_equal(as_rows(x, "x")[1, 2], x[1, :, :, 2])


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros(5), r"has the shape \(5,\)\. A table is \(rows, features\)"),
        (np.zeros((1, 1, 1, 1, 1)), r"has the shape \(1, 1, 1, 1, 1\)"),
        (np.zeros((5, 8, 9, 2)), r"no channel axis: neither the last nor the second axis is 1, 3 or 4"),
        (np.zeros((0, 3)), r"is empty: its shape is \(0, 3\)"),
        (np.zeros((3, 0)), r"is empty: its shape is \(3, 0\)"),
        (np.zeros((3, 2), complex), r"of type complex128; it must be real numbers"),
        (np.array([["a", "b"]]), r"of type <U1; it must be real numbers"),
    ],
)
def test_what_is_no_data_is_refused(x, message):
    with pytest.raises(DataError, match="^the file: .*" + message):
        as_rows(x, "the file")
