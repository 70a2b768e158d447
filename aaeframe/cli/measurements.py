"""Benchmark results as tables and notes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.table import Table

from aaeframe.cli.console import facts, table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from aaeframe.benchmarking.history import Curves
    from aaeframe.benchmarking.report import BenchRow, CaseReport, Report


COUNTED: Final = {
    "operations": "operations: those that torch dispatches in one call on the calling thread, without torch.compile.",
    "kernels": "kernels: those that ran on the GPU in one call.",
}
"""The meaning of the columns of counts."""


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
    return [facts("This machine", machine), *(made for case in report.cases for made in (_times(case), _costs(case)))]


def history_tables(found: Sequence[Curves]) -> Iterator[Table]:
    """A table of each case on each machine, with a line for each run of each alternative."""
    for curve in found:
        rows = [
            (
                name,
                it.date,
                "" if it.label == it.date else it.label,
                f"{it.ratio:.2f}",
                _ratio(it.fastest_ratio),
                "noisy" if it.noisy else "",
            )
            for name, points in curve.points.items()
            for it in points
        ]
        title = f"{curve.case}, over {curve.baseline}\non {curve.machine}"
        yield table(title, ["", "date", "commit", "ratio", "of fastest", ""], rows)


def _times(case: CaseReport) -> Table:
    """Times, and ratios to the first row."""
    rows = [
        [
            *(_name(row), _seconds(row.seconds)),
            f"{row.lower_quartile / row.seconds - 1:+.0%} {row.upper_quartile / row.seconds - 1:+.0%}",
            *(_seconds(row.fastest), _ratio(row.round_ratio), _ratio(row.fastest_ratio)),
        ]
        for row in case.rows
    ]
    return table(case.name, ["", "median", "quartiles", "fastest", "ratio", "of fastest"], rows)


def _costs(case: CaseReport) -> Table:
    """Rates, and costs of one call that are not its time."""
    counted = _counted(case)
    rows = [
        [
            *(_name(row), f"{row.throughput:,.4g} {case.unit}/s"),
            "" if row.limit_fraction is None else f"{row.limit_fraction:.0%}",
            "" if row.memory is None else f"{row.memory / 2**20:,.1f} MiB",
            str(row.counts.get(counted, "")),
        ]
        for row in case.rows
    ]
    return table("", ["", "throughput", "of limit", "memory", counted], rows)


def _counted(case: CaseReport) -> str:
    """The name of the counts in the table."""
    return "kernels" if any("kernels" in row.counts for row in case.rows) else "operations"


def _name(row: BenchRow) -> str:
    return row.alternative if row.origin is None else f"{row.alternative} ({row.origin})"


def _ratio(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _seconds(value: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value * 1e6:.3g} µs"


def notes(report: Report) -> list[str]:
    """Notes on failures, on alternatives that are not installed, and on the meaning of the columns."""
    failed = {f"FAILED: {name}: {why}": None for case in report.cases for name, why in case.failed.items()}
    absent = {f"not measured: {name}: {why}": None for case in report.cases for name, why in case.missing.items()}
    uncounted = {
        f"no memory, no counts: {name}: {why}": None for case in report.cases for name, why in case.uncounted.items()
    }
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
    noisy = [f"noisy: ratios unreliable: {reason}" for reason in report.noise]
    noisy += [f"noisy: ratios unreliable in {case.name}: {it}" for case in report.cases for it in case.noise]
    clocks = {f"times by {row.clock}": None for case in report.cases for row in case.rows if row.clock != "host"}
    meaning = (
        "ratio: median over the rounds of the time over that of the first row in the same round. "
        "of fastest: that of the fastest rounds. "
        "of limit: share of the speed that the fastest matrix product and memory copy, as above, allow. "
        "With data in caches it can exceed 100%. "
        "memory: what one call adds to the memory in use, at its peak. "
    ) + " ".join(dict.fromkeys(COUNTED[_counted(case)] for case in report.cases))
    small = ["--quick: the sizes are too small for these times to measure speed."] if report.quick else []
    return [*failed, *absent, *uncounted, *alone, *plain, *clocks, meaning, *small, *noisy]
