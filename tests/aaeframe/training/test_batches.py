from __future__ import annotations

import numpy as np
import pytest
import torch

from aaeframe.data import Split
from aaeframe.training.batches import Batches, ResidentRows, split_labels

CPU = torch.device("cpu")
RESIDENT, STREAMED = 1e9, 0


def rows(count=10, size=3, dtype=np.uint8, resident_bytes=RESIDENT):
    data = np.arange(count * size).reshape(count, size).astype(dtype)
    return ResidentRows(Split(data), CPU, resident_bytes)


def unlabeled(count=10, batch_size=3, seed=0, resident_bytes=RESIDENT):
    return Batches(rows(count, resident_bytes=resident_bytes), torch.arange(count), batch_size, seed)


def labeled(size=4, count=6, resident_bytes=RESIDENT):
    """20 rows, of which the last `count` are labeled, row i with the class i mod 3."""
    chosen = torch.arange(20 - count, 20)
    whole = rows(20, resident_bytes=resident_bytes)
    return Batches(whole, torch.arange(20 - count), 4, 0, labeled=chosen, labels=chosen % 3, labeled_batch_size=size)


def taken(batches, steps):
    return [batches.next() for _ in range(steps)]


def index(batches, steps):
    return [batch.index.tolist() for batch in taken(batches, steps)]


def assert_same(first, second):
    for one, other in zip(first, second, strict=True):
        assert torch.equal(one.x, other.x)
        assert torch.equal(one.index, other.index)
        assert (one.labeled is None) == (other.labeled is None)
        if one.labeled is not None:
            assert_same([one.labeled], [other.labeled])
            assert torch.equal(one.labeled.labels, other.labeled.labels)


@pytest.mark.parametrize("batch_size", [1, 3, 5, 10])
def test_an_epoch_gives_each_row_at_most_once_in_full_batches(batch_size):
    batches = unlabeled(batch_size=batch_size)
    assert batches.steps_per_epoch == 10 // batch_size
    for epoch in range(3):
        assert batches.epoch == epoch
        given = [it for step in index(batches, batches.steps_per_epoch) for it in step]
        assert len(set(given)) == len(given) == 10 // batch_size * batch_size


def test_over_epochs_every_row_comes():
    given = {it for step in index(unlabeled(), 30) for it in step}
    assert given == set(range(10))


def test_rows_are_those_of_the_index():
    for batch in taken(unlabeled(), 6):
        assert torch.equal(batch.x, (3 * batch.index[:, None] + torch.arange(3)).to(torch.uint8))
        assert batch.labels is None
        assert batch.labeled is None


def test_only_the_unlabeled_rows_are_passed_over():
    assert {it for step in index(labeled(), 30) for it in step} == set(range(14))


def test_the_order_is_a_function_of_seed_and_epoch():
    torch.manual_seed(1)
    first = index(unlabeled(), 9)
    torch.manual_seed(2)
    assert index(unlabeled(), 9) == first
    assert first[:3] != first[3:6]
    assert index(unlabeled(seed=1), 9) != first
    later = unlabeled()
    later.load_state_dict({"epoch": 2, "position": 0})
    assert index(later, 3) == first[6:]


@pytest.mark.parametrize("make", [unlabeled, labeled])
@pytest.mark.parametrize("stopped", [0, 1, 2, 3, 4, 11])
def test_a_place_is_gone_back_to(make, stopped):
    whole = taken(make(), 15)
    first = make()
    taken(first, stopped)
    second = make()
    second.load_state_dict(first.state_dict())
    assert second.step == stopped
    assert_same(taken(second, 15 - stopped), whole[stopped:])


@pytest.mark.parametrize("make", [unlabeled, labeled])
def test_resident_and_streamed_rows_are_the_same(make):
    assert_same(taken(make(resident_bytes=RESIDENT), 12), taken(make(resident_bytes=STREAMED), 12))


@pytest.mark.parametrize("resident_bytes", [RESIDENT, STREAMED])
@pytest.mark.parametrize(("dtype", "expected"), [(np.uint8, torch.uint8), (np.float64, torch.float64)])
def test_rows_keep_what_their_type_holds(resident_bytes, dtype, expected):
    whole = rows(dtype=dtype, resident_bytes=resident_bytes)
    assert whole.resident == (resident_bytes == RESIDENT)
    assert whole[torch.tensor([1])].dtype == expected


def test_streaming_reads_only_what_is_asked_for(tmp_path):
    np.save(tmp_path / "x.npy", np.arange(30, dtype=np.uint8).reshape(10, 3))
    whole = ResidentRows(Split(np.load(tmp_path / "x.npy", mmap_mode="r")), CPU, STREAMED)
    assert whole[torch.tensor([9, 0])].tolist() == [[27, 28, 29], [0, 1, 2]]


@pytest.mark.parametrize("size", [1, 4, 5, 6])
def test_labeled_rows_go_round_evenly(size):
    batches = labeled(size)
    given = [it for batch in taken(batches, 18) for it in batch.labeled.index.tolist()]
    for start in range(0, len(given), 6):
        turn = given[start : start + 6]
        assert len(set(turn)) == len(turn)
    counts = np.bincount(given, minlength=20)[14:]
    assert counts.sum() == 18 * size
    assert counts.max() - counts.min() <= 1


def test_labeled_rows_carry_their_labels():
    for batch in taken(labeled(), 12):
        assert torch.equal(batch.labeled.labels, batch.labeled.index % 3)
        assert torch.equal(batch.labeled.x[:, 0].long(), 3 * batch.labeled.index)


def test_a_batch_larger_than_the_data_is_all_of_it():
    batches = unlabeled(count=4, batch_size=100)
    assert batches.steps_per_epoch == 1
    assert [sorted(step) for step in index(batches, 3)] == [[0, 1, 2, 3]] * 3


def test_a_labeled_batch_larger_than_the_labeled_rows_is_all_of_them():
    assert [sorted(b.labeled.index.tolist()) for b in taken(labeled(size=100), 2)] == [list(range(14, 20))] * 2


def test_rows_are_split_into_unlabeled_and_labeled():
    labels = np.array([3, 1, 2, 0])
    unlabeled_rows, chosen, known = split_labels(labels, np.array([1, 3]))
    assert unlabeled_rows.tolist() == [0, 2]
    assert chosen.tolist() == [1, 3]
    assert known.tolist() == [1, 0]


def test_where_every_row_is_labeled_all_are_passed_over_too():
    unlabeled_rows, chosen, _ = split_labels(np.array([1, 0]), np.array([0, 1]))
    assert unlabeled_rows.tolist() == chosen.tolist() == [0, 1]


def told(count=10, batch_size=3, resident_bytes=RESIDENT):
    """Ten rows whose labels come with them, row i with the class i mod 4."""
    rows_of_all = rows(count, resident_bytes=resident_bytes)
    return Batches(rows_of_all, torch.arange(count), batch_size, 0, row_labels=torch.arange(count) % 4)


@pytest.mark.parametrize("resident_bytes", [RESIDENT, STREAMED])
def test_rows_may_come_with_the_labels_of_all_of_them(resident_bytes):
    for batch in taken(told(resident_bytes=resident_bytes), 12):
        assert torch.equal(batch.labels, batch.index % 4)
        assert torch.equal(batch.x[:, 0].long(), 3 * batch.index)
        assert batch.labeled is None


def test_labels_of_all_rows_change_no_order():
    assert index(told(), 9) == index(unlabeled(), 9)


def test_labels_are_those_of_the_rows_passed_over():
    part = torch.tensor([9, 2, 5])
    batches = Batches(rows(), part, 3, 0, row_labels=torch.arange(10) % 4)
    [batch] = taken(batches, 1)
    assert set(batch.index.tolist()) == {2, 5, 9}
    assert torch.equal(batch.labels, batch.index % 4)


def test_a_place_among_told_rows_is_gone_back_to():
    whole = taken(told(), 8)
    again = told()
    again.load_state_dict({"epoch": 1, "position": 2})
    for one, other in zip(taken(again, 3), whole[5:], strict=True):
        assert torch.equal(one.labels, other.labels)
        assert torch.equal(one.index, other.index)
