"""Order and reading of rows that are in a source."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
import torch

from aaeframe.data import Split
from aaeframe.data.sources import Remaining, StoredRows
from aaeframe.errors import DataError
from aaeframe.training.batches import Batches, Everything, ResidentRows, add_windows
from aaeframe.training.windows import WindowOrder

COUNT, CHUNK = 100, 7
X = np.arange(COUNT * 2, dtype=np.float32).reshape(COUNT, 2)
ROW = 8
CPU = torch.device("cpu")


class Source:
    """Rows in chunks; reading one of `broken` fails."""

    shape, dtype, fingerprint = X.shape, X.dtype, None
    bounds = (*range(0, COUNT, CHUNK), COUNT)

    def __init__(self, broken=()):
        self.broken, self.asked, self.threads = broken, [], set()

    def read(self, chunk):
        self.asked.append(chunk)
        self.threads.add(threading.current_thread().name)
        if chunk in self.broken:
            raise DataError(f"file.parquet: row group {chunk} cannot be read")
        return X[self.bounds[chunk] : self.bounds[chunk + 1]]


def split_of(source, held=()):
    index = Remaining(COUNT, np.array(held, np.int64)) if len(held) else None
    return Split(StoredRows(source), index)


def batches_of(window, *, source=None, held=(), batch_size=6, labeled=None, resident=0, seed=0):
    split = split_of(source or Source(), held)
    rows = ResidentRows(split, CPU, resident)
    labels = None if labeled is None else labeled % 3
    found = Batches(
        rows, Everything(len(split)), batch_size, seed, labeled=labeled, labels=labels, labeled_batch_size=4
    )
    add_windows(found, split, window * ROW)
    return found


def test_the_order_is_by_chunks_and_windows():
    order = WindowOrder(np.array(Source.bounds), most=30, seed=1, name="unlabeled")
    windows = order.windows(0)
    assert sorted(np.concatenate(windows)) == list(range(15))
    assert all(len(order.places(it)) <= 30 for it in windows)
    assert len(windows) < 6
    assert [it.tolist() for it in windows] != [it.tolist() for it in order.windows(1)]
    assert [it.tolist() for it in windows] == [it.tolist() for it in replace(order).windows(0)]
    assert [it.tolist() for it in windows] != [it.tolist() for it in replace(order, seed=2).windows(0)]


def test_a_chunk_larger_than_a_window_is_a_window():
    order = WindowOrder(np.array([0, 50, 60, 100]), most=20, seed=0, name="unlabeled")
    assert sorted(len(order.places(it)) for it in order.windows(0)) == [10, 40, 50]


@pytest.mark.parametrize("held", [(), tuple(range(3, 90, 5))])
@pytest.mark.parametrize("window", [20, 45, 1000])
def test_an_epoch_gives_each_row_at_most_once(window, held):
    batches = batches_of(window, held=held)
    rows = np.setdiff1d(np.arange(COUNT), held)
    for _ in range(3):
        given = []
        for _ in range(batches.steps_per_epoch):
            batch = batches.next()
            np.testing.assert_array_equal(batch.x, X[rows[batch.index]])
            given += batch.index.tolist()
        assert len(set(given)) == len(given) == len(rows) // 6 * 6
    batches.close()


@pytest.mark.parametrize("resident", [0, 1e9])
def test_one_window_is_the_order_of_rows_in_memory(resident):
    """The same rows of an array, in the same batches."""
    known = Batches(ResidentRows(Split(X), CPU, 1e9), torch.arange(COUNT), 6, 0)
    found = batches_of(COUNT, resident=resident)
    for _ in range(40):
        one, other = found.next(), known.next()
        assert one.index.equal(other.index)
        assert one.x.equal(other.x)
    found.close()


@pytest.mark.parametrize("steps", [1, 5, 16, 23])
def test_a_pass_resumes_at_its_position(steps):
    whole, again = batches_of(30), batches_of(30)
    for _ in range(steps):
        whole.next()
    again.load_state_dict(whole.state_dict())
    for _ in range(20):
        one, other = whole.next(), again.next()
        assert one.index.equal(other.index)
        assert one.x.equal(other.x)
    whole.close()
    again.close()


@pytest.mark.parametrize("window", [30, 3])
def test_labeled_rows_come_with_the_others(window):
    labeled = torch.arange(1, COUNT, 9)
    known = Batches(
        ResidentRows(Split(X), CPU, 1e9),
        torch.arange(COUNT),
        6,
        0,
        labeled=labeled,
        labels=labeled % 3,
        labeled_batch_size=4,
    )
    found = batches_of(window, labeled=labeled)
    assert ("labeled" in found.windows) == (window == 3)
    seen = []
    for _ in range(9):  # three passes over the labeled rows
        batch, other = found.next().labeled, known.next().labeled
        assert batch.x.equal(torch.from_numpy(X[batch.index]))
        assert batch.labels.equal(batch.index % 3)
        assert window == 3 or batch.index.equal(other.index)
        seen += batch.index.tolist()
    seen = seen[: 3 * len(labeled)]
    assert all(seen.count(it) == 3 for it in labeled.tolist())
    found.close()


def test_each_window_is_read_once_and_by_a_thread():
    source = Source()
    batches = batches_of(30, source=source)
    for _ in range(batches.steps_per_epoch):
        batches.next()
    batches.close()
    assert set(source.asked[:15]) == set(range(15))
    assert len(source.threads) == 2
    assert not [it for it in threading.enumerate() if it.name.startswith("aaeframe-rows")]


def test_an_error_of_the_thread_is_the_users():
    batches = batches_of(30, source=Source(broken=range(15)[::2]))
    with pytest.raises(DataError, match=r"file\.parquet: row group \d+ cannot be read"):
        [batches.next() for _ in range(batches.steps_per_epoch)]
    batches.close()


def test_other_chunks_are_another_order():
    first, other = batches_of(30), batches_of(31)
    assert first.order == batches_of(30).order
    assert first.order != other.order
    assert batches_of(COUNT, resident=1e9).order == {}
