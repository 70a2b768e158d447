from __future__ import annotations

import numpy as np
import pytest

from aaeframe.data import splits
from aaeframe.errors import DataError


def test_stratified_splits_hold_the_classes_in_their_shares():
    labels = np.repeat([0, 1, 2, 3], [400, 300, 200, 100])
    cuts = splits.stratified(labels, validation=100, test=200)
    rows = [cuts.train[1], cuts.validation[1], cuts.test[1]]
    assert [len(r) for r in rows] == [700, 100, 200]
    np.testing.assert_array_equal(np.sort(np.concatenate(rows)), np.arange(1000))
    for part in rows:
        share = np.bincount(labels[part]) / len(part) * 10
        np.testing.assert_allclose(share, [4, 3, 2, 1], atol=10 / len(part))


def test_a_file_with_a_test_part_gives_validation_from_its_training_part():
    cuts = splits.shuffled_train(55, "x")
    assert (len(cuts.train[1]), len(cuts.validation[1])) == (50, 5)
    assert {cuts.train[0], cuts.validation[0]} == {0}
    assert cuts.test == (1, slice(None))
    assert not set(cuts.train[1]) & set(cuts.validation[1])


def test_the_last_rows_are_held_out():
    cuts = splits.last(60, 10)
    assert (cuts.train, cuts.validation, cuts.test) == (
        (0, slice(0, 50)),
        (0, slice(50, 60)),
        (1, slice(None)),
    )


def test_as_many_rows_as_asked_for_are_held_out():
    cuts = splits.shuffled(100, "x", held_out=(10, 20))
    rows = [cuts.train[1], cuts.validation[1], cuts.test[1]]
    assert [len(part) for part in rows] == [70, 10, 20]
    np.testing.assert_array_equal(np.sort(np.concatenate(rows)), np.arange(100))


@pytest.mark.parametrize("held_out", [(50, 50), (0, 100), (-1, 10), (200, 1)])
def test_held_out_rows_leave_some_for_training(held_out):
    with pytest.raises(DataError, match=r"from 100 rows\. Hold out 0 or more of each, and leave some for training"):
        splits.shuffled(100, "x", held_out=held_out)


def test_every_row_may_be_for_training():
    cuts = splits.shuffled(3, "x", held_out=(0, 0))
    np.testing.assert_array_equal(cuts.train[1], [0, 1, 2])
    assert len(cuts.validation[1]) == len(cuts.test[1]) == 0
