"""Turn the cases of aaeframe.benchmarking into benchmarks: one for each alternative, on each device."""

from __future__ import annotations

from functools import lru_cache

import pytest
import torch

from aaeframe.benchmarking import SUITES
from aaeframe.benchmarking.case import BenchSettings, IncorrectResult
from aaeframe.benchmarking.timing import synchronizer

WARM_UP, ROUNDS, SLOW_ROUNDS = 3, 13, 3
RATES = pytest.StashKey[list]()
"""The throughputs, each with its case and its alternative."""
no_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU on this machine")


@lru_cache
def cases(suite, device, quick):
    """Their data and models are made only when an alternative is prepared."""
    return SUITES[suite].load()(BenchSettings(torch.device(device), quick))


def pytest_generate_tests(metafunc):
    """A module names its SUITE. Without timing, the sizes are small: every alternative runs once and is checked."""
    if "alternative" not in metafunc.fixturenames:
        return
    suite, quick = metafunc.module.SUITE, metafunc.config.option.benchmark_disable
    found = []
    for device, marks in (("cpu", ()), ("cuda", (no_gpu,))):
        for case, small in zip(cases(suite, device, quick), _small(suite, device, quick), strict=True):
            for it in case.alternatives:
                absent = () if it.unsupported_reason is None else (pytest.mark.skip(reason=it.unsupported_reason),)
                name = f"{device}-{case.name}-{it.name}"
                found.append(pytest.param(case, it, small, device, marks=(*marks, *absent), id=name))
    metafunc.parametrize(("case", "alternative", "small", "device"), found)


@pytest.fixture
def timed(request, case, alternative, small, device):
    """Times the alternative, then checks what it computed; skips it where it is wrong at a small size already."""

    def run():
        with torch.random.fork_rng(), alternative.within():
            torch.manual_seed(0)
            _check_small(small, alternative.name)
            call, wait = _warm(alternative), synchronizer(torch.device(device))

            def synchronized():
                result = call()
                wait()
                return result

            benchmark = request.getfixturevalue("benchmark")
            benchmark.group = case.name
            rounds = ROUNDS if alternative.every == 1 else SLOW_ROUNDS
            result = benchmark.pedantic(synchronized, rounds=rounds)
        benchmark.extra_info |= {
            "alternative": alternative.name,
            "ours": alternative.ours,
            "baseline": alternative is case.alternatives[0],
            "device": device,
            "threads": torch.get_num_threads(),
            **alternative.check(result),
        }
        if benchmark.stats is not None:  # None under --benchmark-disable
            throughput = case.amount / benchmark.stats.stats.median
            benchmark.extra_info[f"{case.unit}_per_second"] = throughput
            rates = request.config.stash.setdefault(RATES, [])
            rates.append((f"{case.name} ({device})", alternative.name, f"{throughput:,.4g} {case.unit}/s"))

    return run


def _warm(alternative):
    call = alternative.prepare()
    for _ in range(WARM_UP if alternative.every == 1 else 1):
        call()
    return call


def pytest_terminal_summary(terminalreporter):
    """The throughput of each alternative, above the plugin's table, whose columns are fixed."""
    rates = terminalreporter.config.stash.get(RATES, [])
    for case in dict.fromkeys(case for case, *_ in rates):
        terminalreporter.section(f"throughput of {case}", sep="-")
        for _, name, rate in (it for it in rates if it[0] == case):
            terminalreporter.write_line(f"{name:<50} {rate:>20}")


def _small(suite, device, quick):
    """The small case of the same kind as each: equal but for its sizes."""
    small = {it.kind: it for it in cases(suite, device, True)}
    return [small[it.kind] for it in cases(suite, device, quick)]


def _check_small(small, name):
    """The time of a wrong result means nothing."""
    for it in small.alternatives:
        if it.name == name:
            call = _warm(it)
            try:
                it.check(call())
            except IncorrectResult as error:
                pytest.skip(f"red correctness: {error}")
