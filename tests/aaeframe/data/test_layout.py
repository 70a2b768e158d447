from __future__ import annotations

import numpy as np
import pytest

from aaeframe.data import from_arrays
from aaeframe.data.layout import as_rows
from aaeframe.errors import DataError


@pytest.mark.parametrize(
    ("given", "rows"),
    [
        ((5, 7), (5, 7)),
        ((5, 8, 9), (5, 1, 8, 9)),
        ((5, 28, 20), (5, 1, 28, 20)),
        ((5, 8, 9, 1), (5, 1, 8, 9)),
        ((5, 8, 9, 3), (5, 3, 8, 9)),
        ((5, 8, 9, 4), (5, 4, 8, 9)),
        ((5, 3, 8, 9), (5, 3, 8, 9)),
        ((5, 1, 2, 9), (5, 1, 2, 9)),
        ((5, 1, 6, 8, 9), (5, 1, 6, 8, 9)),
        ((5, 6, 8, 9, 3), (5, 3, 6, 8, 9)),
    ],
)
def test_the_axes_that_have_one_reading(given, rows):
    x = np.random.default_rng(0).random(given)
    arranged = as_rows(x, "x")
    assert arranged.shape == rows
    assert np.shares_memory(arranged, x)


@pytest.mark.parametrize(
    ("given", "channels", "rows"),
    [
        ((5, 7), "none", (5, 7)),
        ((5, 3, 9), "none", (5, 1, 3, 9)),
        ((5, 3, 9), "first", (5, 3, 9)),
        ((5, 3, 9), "last", (5, 9, 3)),
        ((5, 12, 1000), "first", (5, 12, 1000)),
        ((5, 1000, 12), "last", (5, 12, 1000)),
        ((5, 28, 28), "first", (5, 28, 28)),
        ((5, 8, 9, 2), "last", (5, 2, 8, 9)),
        ((5, 2, 8, 9), "first", (5, 2, 8, 9)),
        ((5, 3, 8, 3), "first", (5, 3, 8, 3)),
        ((5, 3, 8, 3), "last", (5, 3, 3, 8)),
        ((5, 200, 8, 9), "first", (5, 200, 8, 9)),
        ((5, 6, 8, 9), "none", (5, 1, 6, 8, 9)),
        ((5, 6, 8, 9, 200), "last", (5, 200, 6, 8, 9)),
        ((5, 2, 6, 8, 9), "first", (5, 2, 6, 8, 9)),
    ],
)
def test_the_option_decides_for_any_number_of_channels(given, channels, rows):
    x = np.random.default_rng(0).random(given)
    arranged = as_rows(x, "x", channels)
    assert arranged.shape == rows
    assert np.shares_memory(arranged, x)


def test_channels_last_are_moved_not_reshaped():
    x = np.random.default_rng(0).random((2, 6, 5, 3))
    np.testing.assert_array_equal(as_rows(x, "x")[1, 2], x[1, :, :, 2])
    np.testing.assert_array_equal(as_rows(x, "x", "first")[1, 2], x[1, 2])
    np.testing.assert_array_equal(as_rows(x[0], "x", "last")[1, 2], x[0, 1, :, 2])
    volumes = np.random.default_rng(0).random((2, 6, 5, 7, 2))
    np.testing.assert_array_equal(as_rows(volumes, "x", "last")[1, 1], volumes[1, ..., 1])


@pytest.mark.parametrize(
    ("shape", "readings"),
    [
        (
            (50, 3, 100),
            "data.channels=none reads 50 gray images of 3 x 100; data.channels=first reads 50 series of length 100 "
            "with 3 channels; data.channels=last reads 50 series of length 3 with 100 channels",
        ),
        ((50, 100, 1), "data.channels=last reads 50 series of length 100 with 1 channel"),
        ((50, 12, 1000), "data.channels=first reads 50 series of length 1000 with 12 channels"),
        ((50, 4, 4), "data.channels=none reads 50 gray images of 4 x 4"),
        (
            (50, 8, 9, 2),
            "data.channels=none reads 50 gray volumes of 8 x 9 x 2; data.channels=first reads 50 images of 9 x 2 with "
            "8 channels; data.channels=last reads 50 images of 8 x 9 with 2 channels",
        ),
        ((50, 3, 8, 3), "data.channels=first reads 50 images of 8 x 3 with 3 channels"),
        ((50, 2, 8, 3), "data.channels=last reads 50 images of 2 x 8 with 3 channels"),
        ((50, 16, 16, 16), "data.channels=none reads 50 gray volumes of 16 x 16 x 16"),
        (
            (50, 8, 8, 8, 8),
            "one of: data.channels=first reads 50 volumes of 8 x 8 x 8 with 8 channels; data.channels=last reads",
        ),
        ((50, 1, 8, 8, 1), "data.channels=last reads 50 volumes of 1 x 8 x 8 with 1 channel"),
    ],
)
def test_what_has_several_readings_is_refused_with_all_of_them(shape, readings):
    with pytest.raises(DataError) as caught:
        as_rows(np.zeros(shape, np.uint8), "the file")
    assert str(caught.value).startswith(f"the file: the data has the shape {shape}, and it cannot be told which axis")
    assert readings in str(caught.value)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros(5), r"has the shape \(5,\)\. A table is \(rows, features\).*One feature is `x\.reshape\(-1, 1\)`"),
        (np.zeros((1,) * 6), r"has the shape \(1, 1, 1, 1, 1, 1\)\. A table is"),
        (np.zeros((0, 3)), r"is empty: its shape is \(0, 3\)"),
        (np.zeros((3, 0)), r"is empty: its shape is \(3, 0\)"),
        (np.zeros((3, 2), complex), r"of type complex128; it must be real numbers"),
        (np.array([["a", "b"]]), r"of type <U1; it must be real numbers"),
        (np.zeros((3, 2), "M8[s]"), r"of type datetime64\[s\]; it must be real numbers"),
    ],
)
def test_what_is_no_data_is_refused(x, message):
    with pytest.raises(DataError, match="^the file: .*" + message):
        as_rows(x, "the file")


def test_channels_where_there_can_be_none():
    with pytest.raises(DataError, match=r"\(5, 7\), a table without an axis of channels. Leave data.channels=last out"):
        as_rows(np.zeros((5, 7)), "x", "last")
    with pytest.raises(DataError, match=r"data.channels=none the rows have four axes of space"):
        as_rows(np.zeros((5, 7, 7, 7, 7)), "x", "none")


RNG = np.random.default_rng(0)
WHOLE = RNG.integers(0, 2, (30, 6, 5))


@pytest.mark.parametrize(
    "x",
    [
        WHOLE.astype(">f8") / 3,
        WHOLE.astype(">i2"),
        np.asfortranarray(WHOLE * 0.5),
        WHOLE.astype(bool),
        WHOLE.astype(np.float16) / 4,
        WHOLE.astype(np.int64) * 1000,
        np.repeat(WHOLE, 2, axis=2)[:, ::-1, ::2] * 2.5,
    ],
    ids=["big-endian", "big-endian integers", "Fortran order", "bool", "float16", "int64", "strided"],
)
@pytest.mark.parametrize("mapped", [False, True])
def test_every_type_and_order_keeps_its_values(x, mapped, tmp_path):
    if mapped:
        np.save(tmp_path / "x.npy", x)
        given = np.load(tmp_path / "x.npy", mmap_mode="r")
    else:
        given = x
    data = from_arrays(given, channels="last")
    assert data.train.is_mapped == mapped
    assert data.train.shape == (5, 6)
    rows, stored = data.split("all").array(), x.swapaxes(1, 2)
    np.testing.assert_array_equal(rows, stored.astype(rows.dtype))
    assert rows.dtype == np.float32 or rows.dtype == np.float64 == stored.dtype


def test_masked_arrays_are_refused():
    with pytest.raises(DataError, match="masked arrays would lose their masks"):
        from_arrays(np.ma.masked_array(WHOLE, WHOLE == 1))
