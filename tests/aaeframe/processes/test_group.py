"""The errors that the processes of a group publish to each other."""

from __future__ import annotations

import pytest
from torch.distributed import HashStore

from aaeframe.processes.group import Group

LOST = RuntimeError("Connection closed by peer")


@pytest.fixture
def pair():
    """Two processes of one launch."""
    store = HashStore()
    return [Group(rank, 2, store, store, seconds=60) for rank in range(2)]


def test_a_published_error_is_named_by_its_process_whatever_its_words(pair):
    pair[1].publish("another of the 2 files is gone")
    assert str(pair[0].broken(LOST)) == "process 1 of 2 failed: another of the 2 files is gone"


def test_a_guess_of_one_process_is_that_of_all(pair):
    first, second = (str(it.broken(LOST)) for it in pair)
    assert first == second == "another of the 2 processes has ended; its own output may say why"


def test_what_another_version_published_is_passed_over(pair):
    pair[0].store.set("aaeframe/failure/0", '[1, "an error"]')
    assert pair[0].publish("mine") == (0, "mine", False)
