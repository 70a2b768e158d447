"""Reasons to distrust ratios, by a clock that a test sets."""

from __future__ import annotations

from itertools import cycle

import pytest
import torch

from aaeframe.benchmarking.case import Alternative, BenchSettings, Case
from aaeframe.benchmarking.limits import Limits
from aaeframe.benchmarking.measure import ROUNDS, measure_case
from aaeframe.benchmarking.noise import other_work

SETTINGS = BenchSettings(torch.device("cpu"))
LIMITS = Limits(gemm={}, by={}, absent={}, copy=1e6)


class Clock:
    """A clock that goes on by as much as an alternative says its next call takes."""

    def __init__(self):
        self.time = 0.0

    def __call__(self):
        return self.time

    def alternative(self, name, *seconds):
        """Takes these seconds, in turn, from the first round on: two calls come before."""
        turns = cycle(seconds)
        calls = []

        def call():
            calls.append(name)
            if len(calls) > 2:  # that of preparing, and the one that sets the repeats
                self.time += next(turns)
            else:
                self.time += seconds[0]

        return Alternative(name, lambda: call)


def measured(clock, *alternatives):
    return measure_case(Case("a case", "a sentence", "things", 1, alternatives), SETTINGS, LIMITS, clock)


def test_the_ratio_is_the_median_over_rounds_and_that_of_the_fastest_stands_beside_it():
    clock = Clock()
    report = measured(clock, clock.alternative("base", 1.0, 2.0, 4.0), clock.alternative("mine", 3.0, 6.0, 8.0))
    base, mine = report.rows
    assert (base.round_ratio, base.fastest_ratio) == (1.0, 1.0)
    assert mine.round_ratio == pytest.approx(3.0)  # of 3/1, 6/2, 8/4
    assert mine.fastest_ratio == pytest.approx(3.0)
    assert mine.ratio == pytest.approx(3.0)
    assert (mine.quantile_20, mine.quantile_80) == pytest.approx((3.0, 8.0))


def test_disturbed_rounds_move_the_ratio_of_medians_and_not_that_of_rounds():
    clock = Clock()
    base = clock.alternative("base", *[1.0] * 6, *[5.0] * 7)
    mine = clock.alternative("mine", *[2.0] * 7, *[10.0] * 6)
    row = measured(clock, base, mine).rows[1]
    assert row.ratio == pytest.approx(0.4)  # medians of 2 and 5
    assert row.round_ratio == pytest.approx(2.0)
    assert row.fastest_ratio == pytest.approx(2.0)


def test_quiet_times_are_not_noisy():
    clock = Clock()
    report = measured(clock, clock.alternative("base", 1.0, 1.1), clock.alternative("mine", 2.0))
    assert report.noise == []
    assert len(report.rows) == 2
    assert report.rows[0].rounds == ROUNDS


@pytest.mark.slow
def test_wide_quartiles_are_noisy_and_the_widest_is_named():
    clock = Clock()
    wide, wider = clock.alternative("wide", 1.0, 1.3), clock.alternative("wider", 1.0, 2.0)
    (reason,) = measured(clock, clock.alternative("base", 1.0), wide, wider).noise
    assert reason == "the quartiles of wider are 100% of its median apart, and 1 more above 20%"


@pytest.mark.parametrize(
    ("load", "threads", "cores", "noisy"),
    [(0.4, 2, 2, False), (0.6, 2, 2, True), (0.9, 1, 2, False), (1.2, 1, 2, True), (30.0, 32, 64, False)],
)
def test_a_load_is_noisy_where_it_leaves_fewer_cores_than_threads(load, threads, cores, noisy):
    found = other_work(load, None, threads, cores)
    assert bool(found) is noisy
    assert all(f"the load average was {load:.2f} at the start" in it for it in found)
    at_end = other_work(None, load + threads, threads, cores)  # with the load of the measurement itself
    assert bool(at_end) is noisy
    assert all(f"the load average was {load + threads:.2f} at the end" in it for it in at_end)
    assert other_work(None, None, threads, cores) == []


def test_the_cores_are_those_that_the_process_may_use(monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda process: {3}, raising=False)
    assert other_work(0.4, None, 1) == []
    assert "1 threads on 1 cores" in other_work(0.6, None, 1)[0]
