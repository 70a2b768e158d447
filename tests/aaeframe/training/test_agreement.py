"""Agreements of processes, how often and about what, with a clock and processes that are played."""

from __future__ import annotations

from itertools import pairwise

import pytest

from aaeframe import processes
from aaeframe.training import agreement
from aaeframe.training.agreement import StopAgreement


@pytest.fixture
def played(monkeypatch):
    """A clock that a test moves, and a second process that a test makes ask."""

    class Played:
        seconds, other, exchanges = 0.0, 0, 0

        def agree(self, asked, wait):
            self.exchanges += 1
            return max(asked, self.other), wait

    it = Played()
    monkeypatch.setattr(agreement.time, "monotonic", lambda: it.seconds)
    monkeypatch.setattr(processes, "agree", it.agree)
    monkeypatch.setattr(processes, "size", lambda: 2)
    return it


def steps(played, stop, count, seconds):
    """The steps at which an agreement was sought."""
    found, known = [], played.exchanges
    for step in range(1, count + 1):
        played.seconds += seconds
        stop(step, 0)
        if played.exchanges > known:
            found, known = [*found, step], played.exchanges
    return found


def test_processes_agree_about_once_a_second(played):
    sought = steps(played, StopAgreement(), 3000, seconds=0.002)
    assert sought[:8] == [1, 3, 7, 15, 31, 63, 127, 255], "from one step on, each time after twice as many"
    later = [after - before for before, after in pairwise(sought[9:])]
    assert all(after == pytest.approx(500, abs=1) for after in later)


def test_slow_steps_are_all_agreed_on(played):
    assert steps(played, StopAgreement(), 5, seconds=3.0) == [1, 2, 3, 4, 5]


def test_a_request_of_another_process_is_followed_at_the_next_agreement(played):
    stop = StopAgreement()
    steps(played, stop, 10, seconds=0.002)
    played.other = 2
    assert [stop(step, 0) for step in range(11, 16)] == [0, 0, 0, 0, 2]


def test_at_the_end_of_an_epoch_it_is_asked_at_once(played):
    stop = StopAgreement()
    steps(played, stop, 10, seconds=0.002)
    assert stop(10, 1, now=True) == 1


def test_a_single_process_asks_nobody(played, monkeypatch):
    monkeypatch.setattr(processes, "size", lambda: 1)
    assert [StopAgreement()(step, step) for step in (0, 1, 2)] == [0, 1, 2]
    assert played.exchanges == 0
