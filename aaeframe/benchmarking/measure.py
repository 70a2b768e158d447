"""From cases to a report: prepare the alternatives of each case, time them against each other, and check them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final

import torch

from aaeframe.benchmarking import SUITES
from aaeframe.benchmarking.case import Added, Alternative, BenchSettings, Case
from aaeframe.benchmarking.counts import costs
from aaeframe.benchmarking.limits import Limits, measure_limits
from aaeframe.benchmarking.memory import peak
from aaeframe.benchmarking.noise import load_average, other_work, scatter
from aaeframe.benchmarking.report import BenchRow, CaseReport, Report, now, this_machine
from aaeframe.benchmarking.sweep import Sweep
from aaeframe.benchmarking.timing import QUANTILES, Clock, Contestant, Timing, attempting, interleave

ROUNDS: Final = 13
QUICK_ROUNDS: Final = 3
ONCE: Final = Sweep(None, ({},))


def measure(
    suites: Sequence[str],
    settings: BenchSettings,
    command: str,
    announce: Callable[[str], None] = lambda line: None,
    *,
    sizes: Sweep = ONCE,
    added: Mapping[str, Sequence[Added]] = MappingProxyType({}),
) -> Report:
    """Measure the named suites one after the other.

    Torch's global random state is restored.

    Args:
        suites: names in SUITES.
        settings: the device, and whether sizes are small.
        command: the command line, for the report.
        announce: called with the current work.
        sizes: the sizes to replace, once for each measurement.
        added: implementations from outside, by suite.

    Raises:
        ConfigError: The inputs of a case need more memory than there is.
    """
    machine, date = this_machine(settings.device), now()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        announce("the machine's limits")
        limits = measure_limits(settings.device, settings.quick)
        reports = []
        for suite in suites:
            for chosen in sizes.each:
                mine = replace(settings, sizes=chosen, added=tuple(added.get(suite, ())))
                for case in SUITES[suite].load()(mine):
                    announce(case.name)
                    reports.append(measure_case(case, settings, limits))
    noise = other_work(machine.load, load_average(), machine.threads)
    return Report(date, command, settings.quick, machine, limits, reports, sizes.swept, noise)


def measure_case(
    case: Case,
    settings: BenchSettings,
    limits: Limits,
    clock: Clock = time.perf_counter,
    *,
    with_costs: bool = True,
) -> CaseReport:
    """Time the alternatives that can run here in one interleaved run, then check their results.

    Memory and counts take further calls, which come last: a profiler must not disturb the times. Without `with_costs`
    they are left out. ValueError if two alternatives have one name.
    """
    if twice := [name for name, times in Counter(it.name for it in case.alternatives).items() if times > 1]:
        raise ValueError(f"several alternatives of {case.name} are named {', '.join(twice)}; names must differ")
    failed: dict[str, str] = {}
    missing: dict[str, str] = {}
    uncounted: dict[str, str] = {}
    contestants = [ready for it in case.alternatives if (ready := _ready(it, failed, missing)) is not None]
    rounds = QUICK_ROUNDS if settings.quick else ROUNDS
    timings = interleave(contestants, rounds=rounds, device=settings.device, failed=failed, clock=clock)
    calls = {it.name: it.call for it in contestants}
    rows: list[BenchRow] = []
    for it in case.alternatives:
        if it.name in timings:
            with attempting(it.name, failed), it.within():
                rows.append(_checked_row(case, it, timings[it.name], limits))
                if with_costs:
                    with attempting(it.name, uncounted):
                        rows[-1] = _with_costs(rows[-1], calls[it.name], settings.device)
    baseline = case.alternatives[0].name
    rows = _with_ratios(rows, timings, baseline)
    return CaseReport(
        case.name,
        case.what,
        case.unit,
        baseline,
        rows,
        missing,
        failed,
        case.kind,
        case.sizes,
        scatter(rows),
        uncounted,
    )


def _ready(it: Alternative, failed: dict[str, str], missing: dict[str, str]) -> Contestant | None:
    """The alternative, prepared and called once; None if it cannot run. The reason is stored.

    It is missing if it says so itself: by its reason or, from outside this package, by NotImplementedError.
    """
    if it.unsupported_reason is not None:
        missing[it.name] = it.unsupported_reason
        return None
    with attempting(it.name, failed), it.within():
        try:
            call = it.prepare()
            call()
        except NotImplementedError as error:
            if it.origin is None:
                raise
            missing[it.name] = f"it refuses: {error}" if str(error) else "it refuses with NotImplementedError"
            return None
        return Contestant(it.name, call, it.every, it.within)
    return None


def _checked_row(case: Case, it: Alternative, timing: Timing, limits: Limits) -> BenchRow:
    """The measurements of an alternative, without its ratios. IncorrectResult if its result is wrong."""
    facts = it.check(timing.result)
    work = None if it.work is None else it.work(timing.result)
    floor = None if work is None else limits.floor(work)
    lower, upper = timing.quartiles
    return BenchRow(
        alternative=it.name,
        ours=it.ours,
        seconds=timing.median,
        lower_quartile=lower,
        upper_quartile=upper,
        fastest=min(timing.seconds),
        rounds=len(timing.seconds),
        ratio=None,
        throughput=case.amount / timing.median,
        limit_fraction=None if floor is None else floor / timing.median,
        facts=facts,
        quantile_20=timing.quantile(QUANTILES[0]),
        quantile_80=timing.quantile(QUANTILES[1]),
        clock=timing.clock,
        counts={} if work is None else {"bytes": int(work.traffic)},
        origin=it.origin,
    )


def _with_costs(row: BenchRow, call: Callable[[], Any], device: torch.device) -> BenchRow:
    """The row with the memory and the counts of one more call each."""
    return replace(row, memory=peak(call, device), counts={**costs(call, device), **row.counts})


def _with_ratios(rows: Sequence[BenchRow], timings: Mapping[str, Timing], baseline: str) -> list[BenchRow]:
    """The rows with ratios to the baseline; without a baseline row, there are no ratios."""
    first = next((row for row in rows if row.alternative == baseline), None)
    if first is None:
        return list(rows)
    return [
        replace(
            row,
            ratio=row.seconds / first.seconds,
            round_ratio=timings[row.alternative].ratio_to(timings[baseline]),
            fastest_ratio=row.fastest / first.fastest,
        )
        for row in rows
    ]
