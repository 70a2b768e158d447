"""From cases to a report: each case's alternatives are prepared, timed against each other, and checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import torch

from aaeframe.benchmarking import SUITES
from aaeframe.benchmarking.case import Alternative, Case, Facts, IncorrectResult, Settings
from aaeframe.benchmarking.limits import Limits, measure_limits
from aaeframe.benchmarking.report import CaseReport, Report, Row, now, this_machine
from aaeframe.benchmarking.timing import Contestant, Timing, interleave

ROUNDS: Final = 13
QUICK_ROUNDS: Final = 3


def measure(
    suites: Sequence[str], settings: Settings, command: str, told: Callable[[str], None] = lambda line: None
) -> Report:
    """Measure the named suites one after the other. `told` hears what is being done.

    Torch's global random state is left as it was.
    """
    machine, date = this_machine(settings.device), now()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        told("the machine's limits")
        limits = measure_limits(settings.device, settings.quick)
        reports = []
        for suite in suites:
            for case in SUITES[suite].load()(settings):
                told(case.name)
                reports.append(measure_case(case, settings, limits))
    return Report(date, command, settings.quick, machine, limits, reports)


def measure_case(case: Case, settings: Settings, limits: Limits) -> CaseReport:
    """Time the alternatives that can run here in one interleaved run, then check what they computed."""
    failed: dict[str, str] = {}
    contestants = [ready for it in case.alternatives if (ready := _ready(it, failed)) is not None]
    rounds = QUICK_ROUNDS if settings.quick else ROUNDS
    timings = interleave(contestants, rounds=rounds, device=settings.device)
    rows = []
    for it in case.alternatives:
        if it.name in timings:
            try:
                facts = it.check(timings[it.name].result)
            except IncorrectResult as error:
                failed[it.name] = f"wrong: {error}"
            else:
                rows.append(_row(case, it, timings, facts, limits))
    missing = {it.name: it.obstacle for it in case.alternatives if it.obstacle is not None}
    return CaseReport(case.name, case.what, case.unit, next(iter(timings), ""), rows, missing, failed)


def _ready(it: Alternative, failed: dict[str, str]) -> Contestant | None:
    """The alternative prepared and called once; None if it cannot be, for a reason that is in `failed` if it is new."""
    if it.obstacle is not None:
        return None
    try:
        with it.within():
            call = it.prepare()
            call()
    except Exception as error:  # whatever it is, the other alternatives are worth measuring, and the report tells
        failed[it.name] = f"{type(error).__name__}: {error}"
        return None
    return Contestant(it.name, call, it.every, it.within)


def _row(case: Case, it: Alternative, timings: Mapping[str, Timing], facts: Facts, limits: Limits) -> Row:
    timing, baseline = timings[it.name], next(iter(timings.values()))
    floor = None if it.work is None else limits.floor(it.work(timing.result))
    lower, upper = timing.quartiles
    return Row(
        alternative=it.name,
        ours=it.ours,
        seconds=timing.median,
        lower_quartile=lower,
        upper_quartile=upper,
        fastest=min(timing.seconds),
        rounds=len(timing.seconds),
        ratio=timing.median / baseline.median,
        throughput=case.amount / timing.median,
        limit_fraction=None if floor is None else floor / timing.median,
        facts=facts,
    )
