from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array

from aaeframe.data import Split, from_arrays, load
from aaeframe.data import statistics as scan
from aaeframe.errors import DataError


@pytest.fixture
def small_pieces(monkeypatch):
    monkeypatch.setattr(scan, "PIECE_BYTES", 8 * 3 * 7)  # seven rows of three features


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_the_first_bad_value_is_named_and_all_are_counted(small_pieces, bad):
    x = np.zeros((50, 3))
    x[17, 2] = x[17, 0] = x[44, 1] = bad
    with pytest.raises(DataError, match=rf"mine: 3 of 150 .*first is {bad} in row 17, feature 0 .*Remove"):
        from_arrays(x, name="mine")


def test_the_place_in_an_image_has_every_axis():
    x = np.zeros((20, 6, 7), np.float32)
    x[3, 2, 1] = np.nan
    with pytest.raises(DataError, match=r"row 3, feature \(0, 2, 1\)"):
        from_arrays(x)


def test_what_overflows_float32_is_said_to():
    x = np.zeros((20, 2))
    x[5, 1] = -1e300
    with pytest.raises(DataError, match=r"first is -1e\+300 in row 5, feature 1 .*beyond float32's 3.4e\+38"):
        from_arrays(x)


@pytest.mark.parametrize(("dtype", "value"), [(np.int64, -(2**53) - 1), (np.int64, 2**63 - 1), (np.uint64, 2**64 - 1)])
def test_a_whole_number_that_float64_would_change_is_refused(small_pieces, dtype, value):
    x = np.zeros((50, 3), dtype)
    x[4, 1] = 2**53
    from_arrays(x)
    x[44, 1] = value
    for rows in (x, csr_array(x)):
        with pytest.raises(DataError, match=rf": holds {value} in row 44, feature 1 .*beyond 2\*\*53"):
            load(rows)


def test_the_range_is_over_all_pieces(small_pieces):
    x = np.random.default_rng(0).standard_normal((50, 3)).astype(np.float32)
    assert scan.value_range(Split(x)) == scan.Range(float(x.min()), float(x.max()), whole=False)
    whole = (x * 100).astype(np.int32)
    assert scan.value_range(Split(whole)) == scan.Range(float(whole.min()), float(whole.max()), whole=True)
    x = np.rint(x)
    x[40, 1] = 0.5
    assert not scan.value_range(Split(x)).whole


def test_the_range_of_uint8_may_be_read_until_the_upper_half_is_reached(small_pieces):
    x = np.zeros((50, 3), np.uint8)
    x[3, 0], x[49, 2] = 128, 255
    assert scan.value_range(Split(x)).high == 255
    assert scan.value_range(Split(x), whole_of_uint8=False).high == 128


def test_moments_in_pieces_are_those_of_the_whole(small_pieces):
    x = np.random.default_rng(0).normal([0, 1e3, 1e6], 1.0, (50, 3))
    index = np.arange(0, 50, 2)
    mean, std = scan.moments(Split(x.astype(np.float32), index))
    rows = x.astype(np.float32)[index].astype(np.float64)
    np.testing.assert_allclose(mean, rows.mean(0), rtol=1e-12)
    np.testing.assert_allclose(std, rows.std(0), rtol=1e-9)


def test_a_signaling_nan_is_as_any_other():
    x = np.zeros((20, 2))
    x.view(np.uint64)[3, 1] = 0x7FF0000000000001
    with pytest.raises(DataError, match=r"1 of 40 values are not finite .*first is nan in row 3, feature 1"):
        from_arrays(x)
