from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aaeframe.data import labeled_subset
from aaeframe.errors import DataError

LABELS = np.random.default_rng(0).permutation(np.arange(300) % 10)


@settings(deadline=None, max_examples=50, derandomize=True, database=None)
@given(count=st.integers(10, 300), seed=st.integers(0, 2**40))
def test_classes_differ_by_at_most_one(count, seed):
    rows = labeled_subset(LABELS, count, 10, seed)
    assert len(set(rows.tolist())) == len(rows) == count
    assert (np.diff(rows) > 0).all()
    per_class = np.bincount(LABELS[rows], minlength=10)
    assert per_class.max() - per_class.min() <= 1


def test_it_is_a_pure_function_of_the_seed():
    before = np.random.get_state()[1].copy()
    first, again, other = (labeled_subset(LABELS, 57, 10, seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    np.testing.assert_array_equal(np.random.get_state()[1], before)


@pytest.mark.parametrize(("small", "large"), [(10, 11), (17, 42), (100, 299)])
def test_a_smaller_subset_lies_within_a_larger(small, large):
    assert set(labeled_subset(LABELS, small, 10, 7)) <= set(labeled_subset(LABELS, large, 10, 7))


def test_a_class_with_none_to_spare_gives_no_extra_one():
    labels = np.array([0, 1, 1, 2, 2])
    for seed in range(10):
        assert np.bincount(labels[labeled_subset(labels, 5, 3, seed)]).tolist() == [1, 2, 2]


@pytest.mark.parametrize("count", [-1, 0, 9, 301])
def test_a_count_out_of_range_is_refused(count):
    with pytest.raises(DataError, match=rf"^{count} labeled examples were requested.* 300 .* Ask for 10 to 300"):
        labeled_subset(LABELS, count, 10, 0)


def test_a_class_too_small_is_named():
    labels = np.array([0] * 50 + [1] * 3 + [2] * 50)
    assert len(labeled_subset(labels, 11, 3, 0)) == 11
    with pytest.raises(DataError, match=r"up to 4 of each, but class 1 has only 3\. Ask for at most 9"):
        labeled_subset(labels, 12, 3, 0)


def test_a_class_that_is_missing_is_named():
    with pytest.raises(DataError, match="class 3 has no example"):
        labeled_subset(np.arange(30) % 3, 8, 4, 0)


def test_more_classes_than_promised_are_refused():
    with pytest.raises(DataError, match="labels reach class 9, but there are 5 classes"):
        labeled_subset(LABELS, 20, 5, 0)
