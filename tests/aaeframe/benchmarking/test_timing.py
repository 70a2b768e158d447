from __future__ import annotations

import gc
from contextlib import contextmanager

import pytest
import torch

from aaeframe.benchmarking.timing import Contestant, Timing, interleave

CPU = torch.device("cpu")


class Clock:
    """A clock that goes on by as much as a contestant says its call takes."""

    def __init__(self):
        self.time = 0.0
        self.calls = []

    def __call__(self):
        return self.time

    def contestant(self, name, seconds, **options):
        def call():
            self.calls.append(name)
            self.time += seconds
            return name.upper()

        return Contestant(name, call, **options)


@pytest.fixture
def clock():
    return Clock()


def test_contestants_take_turns_and_each_begins_a_round(clock):
    contestants = [clock.contestant("a", 1.0), clock.contestant("b", 2.0), clock.contestant("c", 3.0)]

    timings = interleave(contestants, rounds=3, device=CPU, failed={}, clock=clock)

    assert "".join(clock.calls) == "abc" + "abc" + "bca" + "cab"
    assert {name: it.seconds for name, it in timings.items()} == {"a": (1.0,) * 3, "b": (2.0,) * 3, "c": (3.0,) * 3}
    assert timings["b"].result == "B"


def test_a_slow_contestant_takes_part_in_every_nth_round(clock):
    contestants = [clock.contestant("fast", 1.0), clock.contestant("slow", 9.0, every=4)]

    timings = interleave(contestants, rounds=9, device=CPU, failed={}, clock=clock)

    assert len(timings["fast"].seconds) == 9
    assert len(timings["slow"].seconds) == 3


def test_short_calls_are_repeated_and_their_mean_is_taken(clock):
    contestants = [clock.contestant("short", 0.001), clock.contestant("long", 1.0)]

    timings = interleave(contestants, rounds=2, device=CPU, failed={}, clock=clock)

    assert clock.calls.count("short") == 1 + 2 * 5
    assert clock.calls.count("long") == 1 + 2
    assert timings["short"].seconds == pytest.approx((0.001, 0.001))


def test_what_a_contestant_needs_around_it_is_there_for_its_calls_alone(clock):
    inside = []

    @contextmanager
    def within():
        inside.append(True)
        yield
        inside.pop()

    seen = []
    guarded = Contestant("guarded", lambda: seen.append(bool(inside)), within=within)
    free = Contestant("free", lambda: seen.append(bool(inside)))

    interleave([guarded, free], rounds=1, device=CPU, failed={}, clock=lambda: 0.0)

    assert seen == [True, False, True, False]


def test_garbage_is_not_collected_while_timing_and_again_afterwards():
    seen = []
    interleave(
        [Contestant("it", lambda: seen.append(gc.isenabled()))], rounds=2, device=CPU, failed={}, clock=lambda: 0.0
    )
    assert seen == [True, False, False]  # the first is no round yet
    assert gc.isenabled()


def test_median_and_quartiles():
    timing = Timing((5.0, 1.0, 2.0, 4.0, 3.0), None)
    assert timing.median == 3.0
    assert timing.quartiles == (2.0, 4.0)
    assert Timing((2.0, 1.0, 9.0), None).quartiles == (1.0, 9.0)
