"""Benchmark results as tables and notes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from aaeframe.cli.console import facts, table

if TYPE_CHECKING:
    from aaeframe.benchmarking.report import BenchRow, CaseReport, Report


def tables(report: Report) -> list[Table]:
    """A table of the machine and its limits, then one for each case."""
    limits = report.limits
    rates = {f"{name} products": f"{rate / 1e9:,.0f} Gop/s ({limits.by[name]})" for name, rate in limits.gemm.items()}
    machine = {
        "device": f"{report.machine.device}, {report.machine.processor}",
        "threads": str(report.machine.threads),
        **rates,
        "copy": f"{limits.copy / 1e9:,.1f} GB/s",
    }
    columns = ["", "median", "quartiles", "fastest", "ratio", "of limit", "throughput"]
    return [
        facts("This machine", machine),
        *(table(case.name, columns, [_cells(case, row) for row in case.rows]) for case in report.cases),
    ]


def _cells(case: CaseReport, row: BenchRow) -> list[str]:
    fraction = "" if row.limit_fraction is None else f"{row.limit_fraction:.0%}"
    spread = f"{row.lower_quartile / row.seconds - 1:+.0%} {row.upper_quartile / row.seconds - 1:+.0%}"
    rate = f"{row.throughput:,.4g} {case.unit}/s"
    ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
    return [row.alternative, _seconds(row.seconds), spread, _seconds(row.fastest), ratio, fraction, rate]


def _seconds(value: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value * 1e6:.3g} µs"


def notes(report: Report) -> list[str]:
    """Notes on failures, on alternatives that are not installed, and on the meaning of the columns."""
    failed = {f"FAILED: {name}: {why}": None for case in report.cases for name, why in case.failed.items()}
    absent = {f"not measured: {name}: {why}": None for case in report.cases for name, why in case.missing.items()}
    alone = [
        f"no ratios in {case.name}: the baseline {case.baseline} was not timed"
        for case in report.cases
        if all(row.alternative != case.baseline for row in case.rows)
    ]
    plain = {
        f"{row.alternative}: the epilogue is {row.facts['epilogue']}": None
        for case in report.cases
        for row in case.rows
        if str(row.facts.get("epilogue", "")).startswith("plain")
    }
    meaning = (
        "ratio: median time over that of the first row. "
        "of limit: share of the speed that the fastest matrix product and memory copy, as above, allow. "
        "With data in caches it can exceed 100%."
    )
    small = ["--quick: the sizes are too small for these times to measure speed."] if report.quick else []
    return [*failed, *absent, *alone, *plain, meaning, *small]
