"""The report: cases with their alternatives, the machine, and the command."""

from __future__ import annotations

import dataclasses
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

import torch

from aaeframe.benchmarking.case import Facts
from aaeframe.benchmarking.limits import Limits
from aaeframe.benchmarking.noise import load_average
from aaeframe.training.device import environment
from aaeframe.version import __version__

PACKAGES: Final = ("torch", "triton", "numpy", "scikit-learn", "pykeops", "pythae")


@dataclass(frozen=True)
class BenchRow:
    """The measurements of one alternative of a case."""

    alternative: str
    ours: bool
    seconds: float
    """The median of the rounds, per call."""
    lower_quartile: float
    upper_quartile: float
    fastest: float
    """The fastest of the rounds: disturbances of a machine only add time."""
    rounds: int
    ratio: float | None
    """The ratio of its median to the baseline's; less is faster. None if the baseline has no row."""
    throughput: float
    """Units per second."""
    limit_fraction: float | None
    """The share of the speed that this machine's best matrix product and memory copy would allow; None if unknown."""
    facts: Facts
    """The findings of the check of its result."""
    round_ratio: float | None = None
    """The median of the ratios to the baseline in the same round."""
    fastest_ratio: float | None = None
    """The ratio of the fastest round to that of the baseline."""
    quantile_20: float | None = None
    """The quantiles of the rounds, per call."""
    quantile_80: float | None = None
    clock: str = "host"
    """The clock: the host's, or events of a GPU with a cold L2 cache."""
    memory: int | None = None
    """The bytes by which one call raises the memory in use; None if unknown."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """Counts of one call: flops, operations and launches, or kernels on a GPU; and the bytes of its work."""
    origin: str | None = None
    """The source of an implementation from outside this package."""


@dataclass(frozen=True)
class CaseReport:
    """All alternatives of a case, from one interleaved run."""

    name: str
    what: str
    unit: str
    baseline: str
    """The first alternative of the case, whether it has a row or not."""
    rows: Sequence[BenchRow]
    missing: Mapping[str, str]
    """The alternatives that could not run, each with the reason."""
    failed: Mapping[str, str]
    """The alternatives that failed or had a wrong result, each with the reason: they have no row."""
    kind: str = ""
    """The name without sizes."""
    sizes: Mapping[str, int] = field(default_factory=dict)
    noise: Sequence[str] = ()
    """Reasons to distrust the ratios; none if the times scatter little."""
    uncounted: Mapping[str, str] = field(default_factory=dict)
    """The alternatives with a time, but without memory and counts, each with the reason."""


@dataclass(frozen=True)
class Machine:
    """The machine of the measurements."""

    device: str
    processor: str
    threads: int
    load: float | None
    """The number of processes waiting for a core at the start, if known: more than 0 means other load."""
    versions: Mapping[str, str]


@dataclass(frozen=True)
class Report:
    """A whole run of `aaeframe bench`."""

    date: str
    command: str
    quick: bool
    machine: Machine
    limits: Limits
    cases: Sequence[CaseReport]
    swept: str | None = None
    """The size that changes between cases of one kind."""
    noise: Sequence[str] = ()
    """Reasons to distrust all ratios: other work on the machine."""

    def to_json(self) -> dict[str, Any]:
        """The report as plain dicts and lists."""
        return dataclasses.asdict(self)


def now() -> str:
    """The date and time, UTC."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def this_machine(device: torch.device) -> Machine:
    """The properties of this machine."""
    about = environment(device)
    return Machine(
        device=about["device"],
        processor=f"{_processor()}, {about['cpu_capability']}, {os.cpu_count()} cores",
        threads=torch.get_num_threads(),
        load=load_average(),
        versions={"aaeframe": __version__, "python": platform.python_version()}
        | {name: found for name in PACKAGES if (found := _version(name)) is not None},
    )


def _processor() -> str:
    """The processor's name if Linux reports it, else its architecture."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:  # noqa: PTH123  a device file, not a path of ours
            names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.machine()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
