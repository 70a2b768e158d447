from __future__ import annotations

import gc
from contextlib import contextmanager

import pytest
import torch

from aaeframe.benchmarking import timing as timing_module
from aaeframe.benchmarking.timing import ColdEvents, Contestant, HostClock, Timing, interleave, stopwatch

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


def timing_of(*seconds):
    return Timing(seconds, None, tuple(range(len(seconds))))


def test_median_and_quartiles():
    timing = timing_of(5.0, 1.0, 2.0, 4.0, 3.0)
    assert timing.median == 3.0
    assert timing.quartiles == (2.0, 4.0)
    assert timing_of(2.0, 1.0, 9.0).quartiles == (1.0, 9.0)


def test_quantiles_are_of_the_rounds_and_extremes_where_there_are_few():
    timing = timing_of(*(float(it) for it in range(11)))
    assert (timing.quantile(0.2), timing.quantile(0.8)) == pytest.approx((2.0, 8.0))
    assert timing_of(2.0, 1.0, 9.0).quantile(0.2) == 1.0


def test_the_ratio_is_of_common_rounds():
    slow, fast = Timing((6.0, 9.0), None, (0, 6)), Timing((1.0, 2.0, 3.0), None, (0, 1, 6))
    assert slow.ratio_to(fast) == 4.5  # of 6/1 and 9/3
    assert slow.ratio_to(Timing((1.0,), None, (5,))) is None


class Device:
    """A device whose events tell its own time; a call takes 0.2 ms of it, and a flush a whole second."""

    def __init__(self):
        self.time = 0.0
        self.done = []

    def flush(self):
        self.done.append("flush")
        self.time += 1.0

    def call(self):
        self.done.append("call")
        self.time += 0.0002
        return len(self.done)

    def event(self):
        device = self

        class Event:
            def record(self):
                self.time = device.time

            def elapsed_time(self, end):
                assert device.done[-1] == "wait", "an event is read when the device has reached it"
                return 1000 * (end.time - self.time)

        return Event()

    def wait(self):
        self.done.append("wait")


def test_events_time_each_call_alone_with_a_cold_cache():
    device = Device()
    seconds, result = ColdEvents(device.flush, device.event, device.wait).timed(device.call, 3)
    assert seconds == pytest.approx(0.0002)
    assert device.done == ["flush", "call"] * 3 + ["wait"]
    assert result == 6


@pytest.mark.parametrize(
    ("device", "shortest", "clock"),
    [("cuda", 0.0009, "CUDA events, cold L2"), ("cuda", 0.0011, "host"), ("cpu", 0.00001, "host")],
)
def test_events_are_for_calls_below_a_millisecond_on_a_gpu(monkeypatch, device, shortest, clock):
    fake = Device()
    monkeypatch.setattr(ColdEvents, "on", lambda device: ColdEvents(fake.flush, fake.event, fake.wait))
    assert stopwatch(torch.device(device), shortest, HostClock(fake.wait)).name == clock


def test_one_short_call_makes_its_case_timed_by_events(monkeypatch):
    fake, clock = Device(), Clock()
    monkeypatch.setattr(ColdEvents, "on", lambda device: ColdEvents(fake.flush, fake.event, fake.wait))
    monkeypatch.setattr(timing_module, "synchronizer", lambda device: fake.wait)

    def launching(seconds_on_host):
        def call():
            clock.time += seconds_on_host
            return fake.call()

        return call

    contestants = [Contestant("short", launching(0.0005)), Contestant("long", launching(0.5))]
    found = interleave(contestants, rounds=2, device=torch.device("cuda"), failed={}, clock=clock)

    for timing in found.values():
        assert timing.clock == "CUDA events, cold L2"
        assert timing.seconds == pytest.approx((0.0002, 0.0002))


def test_a_stopwatch_without_memory_fails_its_case_alone(monkeypatch):
    def full(device):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(ColdEvents, "on", full)
    monkeypatch.setattr(timing_module, "synchronizer", lambda device: lambda: None)
    failed = {"other": "it broke"}
    contestants = [Contestant("short", lambda: 1), Contestant("other", lambda: 1)]
    assert interleave(contestants, rounds=2, device=torch.device("cuda"), failed=failed) == {}
    assert failed == {"short": "no stopwatch: OutOfMemoryError: CUDA out of memory", "other": "it broke"}


def test_a_flush_writes_twice_the_cache(monkeypatch):
    class Properties:
        L2_cache_size = 1000

    made = []

    def empty(size, **options):
        made.append(size)
        return torch.zeros(1)

    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: Properties)
    monkeypatch.setattr(torch, "empty", empty)
    ColdEvents.on(torch.device("cuda"))
    assert made == [2000]
