"""From cases to a report: prepare the alternatives of each case, time them against each other, and check them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import torch

from aaeframe.benchmarking import SUITES
from aaeframe.benchmarking.case import Alternative, BenchSettings, Case
from aaeframe.benchmarking.limits import Limits, measure_limits
from aaeframe.benchmarking.report import BenchRow, CaseReport, Report, now, this_machine
from aaeframe.benchmarking.timing import Contestant, Timing, attempting, interleave

ROUNDS: Final = 13
QUICK_ROUNDS: Final = 3


def measure(
    suites: Sequence[str], settings: BenchSettings, command: str, announce: Callable[[str], None] = lambda line: None
) -> Report:
    """Measure the named suites one after the other. `announce` is called with the current work.

    Torch's global random state is restored.
    """
    machine, date = this_machine(settings.device), now()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        announce("the machine's limits")
        limits = measure_limits(settings.device, settings.quick)
        reports = []
        for suite in suites:
            for case in SUITES[suite].load()(settings):
                announce(case.name)
                reports.append(measure_case(case, settings, limits))
    return Report(date, command, settings.quick, machine, limits, reports)


def measure_case(case: Case, settings: BenchSettings, limits: Limits) -> CaseReport:
    """Time the alternatives that can run here in one interleaved run, then check their results."""
    failed: dict[str, str] = {}
    contestants = [ready for it in case.alternatives if (ready := _ready(it, failed)) is not None]
    rounds = QUICK_ROUNDS if settings.quick else ROUNDS
    timings = interleave(contestants, rounds=rounds, device=settings.device, failed=failed)
    rows: list[BenchRow] = []
    for it in case.alternatives:
        if it.name in timings:
            with attempting(it.name, failed):
                rows.append(_checked_row(case, it, timings[it.name], limits))
    baseline = case.alternatives[0].name
    missing = {it.name: it.unsupported_reason for it in case.alternatives if it.unsupported_reason is not None}
    return CaseReport(case.name, case.what, case.unit, baseline, _with_ratios(rows, baseline), missing, failed)


def _ready(it: Alternative, failed: dict[str, str]) -> Contestant | None:
    """The alternative, prepared and called once; None if it cannot run. A new reason is stored in `failed`."""
    if it.unsupported_reason is not None:
        return None
    with attempting(it.name, failed), it.within():
        call = it.prepare()
        call()
        return Contestant(it.name, call, it.every, it.within)
    return None


def _checked_row(case: Case, it: Alternative, timing: Timing, limits: Limits) -> BenchRow:
    """The measurements of an alternative, without its ratio. IncorrectResult if its result is wrong."""
    facts = it.check(timing.result)
    floor = None if it.work is None else limits.floor(it.work(timing.result))
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
    )


def _with_ratios(rows: Sequence[BenchRow], baseline: str) -> list[BenchRow]:
    """The rows with ratios to the baseline; without a baseline row, there are no ratios."""
    seconds = next((row.seconds for row in rows if row.alternative == baseline), None)
    return [row if seconds is None else replace(row, ratio=row.seconds / seconds) for row in rows]
