"""Empty cells that are filled in by the mean of the training rows."""

from __future__ import annotations

import numpy as np
import pytest

from aaeframe.configuration.reading import ReadOptions
from aaeframe.data import load, load_rows
from aaeframe.data.assemble import assemble, gather
from aaeframe.data.columns import Known
from aaeframe.data.raw import RawData, RawPart
from aaeframe.errors import DataError

MEAN = ReadOptions(missing="mean")
KNOWN = Known(np.array([1.0, 2.0, 3.0]), None)
X = np.random.default_rng(0).normal(1.7e9, 5.0, (40, 3))
HOLES = [(3, 0), (17, 0), (17, 2), (39, 1)]


def holed(x=X):
    x = x.copy()
    for place in HOLES:
        x[place] = np.nan
    return x


def raw(x, passed_over=()):
    return RawData([RawPart(x)], columns=("a", "b", "c"), passed_over=passed_over)


def test_the_mean_is_that_of_the_training_rows():
    x = holed()
    data = assemble("mine", raw(x, ("1 column of texts",)), MEAN)
    train = x[data.train.index]
    means = np.nanmean(train, axis=0)
    assert not np.array_equal(means, np.nanmean(x, axis=0))
    np.testing.assert_array_equal(data.split("all").array(), np.where(np.isnan(x), means, x))
    assert data.reading.passed_over == (
        "1 column of texts",
        "4 empty cells, filled in with the training mean of the column",
    )


def test_what_is_complete_is_left_as_it_is():
    data = assemble("mine", raw(X), MEAN)
    np.testing.assert_array_equal(data.split("all").array(), X)
    assert data.reading.passed_over == ()


def test_other_rows_are_filled_in_with_the_means_given():
    x = holed()
    found = gather("mine", raw(x), MEAN, KNOWN)
    np.testing.assert_array_equal(found.rows.array(), np.where(np.isnan(x), [1, 2, 3], x))
    assert found.reading.passed_over == ("4 empty cells, filled in with the training mean of the column",)
    own = gather("mine", raw(x), MEAN)
    np.testing.assert_array_equal(own.rows.array(), np.where(np.isnan(x), np.nanmean(x, axis=0), x))


def test_a_row_of_holes_is_filled_in_by_means_alone():
    found = gather("mine", raw(np.full((1, 3), np.nan)), MEAN, KNOWN)
    assert found.rows.array().tolist() == [[1, 2, 3]]


def test_a_column_without_a_value_in_the_training_rows_is_refused():
    x = X.copy()
    x[assemble("mine", raw(x)).train.index, 1] = np.nan
    with pytest.raises(
        DataError, match=r"mine: .*1 columns have no value in the training rows; the first is number 1 "
    ):
        assemble("mine", raw(x), MEAN)


def test_without_the_option_holes_are_refused():
    with pytest.raises(DataError, match=r"4 of 120 values are not finite"):
        assemble("mine", raw(holed()))


def test_a_csv_from_the_file_to_its_rows(tmp_path):
    lines = [f"{i},{'' if i == 5 else i * i}" for i in range(20)]
    (tmp_path / "t.csv").write_text("\n".join(["a,b", *lines]) + "\n")
    data = load(tmp_path / "t.csv", missing="mean")
    squares = np.arange(20.0) ** 2
    known = [i for i in data.train.index if i != 5]
    assert data.split("all").array()[5, 1] == squares[known].mean()
    assert "1 empty cell, filled in with the training mean of the column" in data.reading.passed_over
    given = load_rows(tmp_path / "t.csv", missing="mean", known=Known(np.array([0.0, 7.0]), None))
    assert given.rows.array()[5].tolist() == [5, 7]


def test_an_empty_category_is_no_row_of_zeros(tmp_path):
    known = Known(np.array([0.0, 0.25, 0.75]), ("a", "c=r", "c=s"))
    for cells, expected in [(["1,", "2,r"], [[1, 0.25, 0.75], [2, 1, 0]]), (["1,"], [[1, 0.25, 0.75]])]:
        (tmp_path / "t.csv").write_text("\n".join(["a,c", *cells]) + "\n")
        found = load_rows(tmp_path / "t.csv", missing="mean", categories=["c"], known=known)
        assert found.rows.array().tolist() == expected
