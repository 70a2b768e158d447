"""The history of measurements: one line of JSON for each run, and the ratios over commits."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from pydantic import BaseModel, ValidationError

from aaeframe.benchmarking.report import Report
from aaeframe.errors import ConfigError
from aaeframe.storage.atomic import append_whole, writing
from aaeframe.storage.formats import read_bounded
from aaeframe.storage.locks import lock
from aaeframe.storage.problems import problems

SHORT: Final = 9
"""The number of digits of a commit that are shown."""


class Commit(BaseModel):
    """The commit of the current folder's repository."""

    hash: str
    dirty: bool
    """Whether a tracked file differs from it, the history itself not counted."""

    def __str__(self) -> str:
        return f"{self.hash[:SHORT]}{'+' if self.dirty else ''}"


class RecordedRow(BaseModel):
    """An alternative of a case."""

    name: str
    origin: str | None = None
    seconds: float
    ratio: float | None
    """The median of the ratios to the baseline in the same round."""
    fastest_ratio: float | None
    memory: int | None = None
    counts: dict[str, int]


class RecordedCase(BaseModel):
    """A case."""

    name: str
    baseline: str
    noise: list[str]
    alternatives: list[RecordedRow]


class RecordedRun(BaseModel):
    """A line of the history: one run of `aaeframe bench`."""

    date: str
    command: str
    quick: bool
    commit: Commit | None
    """None outside a repository."""
    device: str
    processor: str
    threads: int
    versions: dict[str, str]
    noise: list[str]
    cases: list[RecordedCase]

    @property
    def machine(self) -> str:
        """The identity of the machine, and whether it was --quick: ratios of different ones do not compare."""
        device = "" if self.device.startswith("cpu") else f"{self.device}, "
        return f"{device}{self.processor}, threads={self.threads}{', --quick' if self.quick else ''}"

    @property
    def label(self) -> str:
        """The commit, or the date where there is none."""
        return str(self.commit or self.date)


def recorded(report: Report, commit: Commit | None) -> RecordedRun:
    """The line of a report."""
    return RecordedRun.model_validate(
        {
            **{name: getattr(report, name) for name in ("date", "command", "quick")},
            **{name: getattr(report.machine, name) for name in ("device", "processor", "threads", "versions")},
            "noise": list(report.noise),
            "commit": commit,
            "cases": [
                {
                    "name": case.name,
                    "baseline": case.baseline,
                    "noise": list(case.noise),
                    "alternatives": [
                        {
                            **{name: getattr(row, name) for name in ("origin", "seconds", "fastest_ratio", "memory")},
                            "name": row.alternative,
                            "ratio": row.round_ratio,
                            "counts": dict(row.counts),
                        }
                        for row in case.rows
                    ],
                }
                for case in report.cases
            ],
        }
    )


def append(path: Path, run: RecordedRun) -> None:
    """Append a line, whole or not at all, while no other process does. RunError if it cannot be written.

    An unfinished last line, which a killed process left, is removed first.
    """
    with lock(path, required=False):
        content = path.read_bytes() if path.exists() else b""
        last = content[content.rfind(b"\n") + 1 :]
        if last and _is_unfinished(last):
            with writing(path), path.open("r+b") as file:
                file.truncate(len(content) - len(last))
            last = b""
        append_whole(path, (b"\n" if last else b"") + run.model_dump_json().encode() + b"\n")


def read(path: Path) -> list[RecordedRun]:
    """The runs of a history, without an unfinished last line.

    ConfigError if a line is none or the file is larger than 256 MiB, OSError without a file.
    """
    try:
        lines = read_bounded(path).split(b"\n")
    except ValueError as error:
        raise ConfigError(f"{path} is too large for a history: {error}; move older lines to another file") from error
    if lines and _is_unfinished(lines[-1]):
        lines.pop()
    runs = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                runs.append(RecordedRun.model_validate_json(line))
            except ValidationError as error:
                raise ConfigError(
                    f"{path}, line {number} is not of a history of `aaeframe bench --append`: "
                    f"{problems(error)[0]}; name another file, or remove the line"
                ) from error
    return runs


def _is_unfinished(line: bytes) -> bool:
    """Whether this is the beginning of a line that was being written."""
    try:
        json.loads(line)
    except ValueError:
        return line.startswith(b"{")
    return False


def commit_of(folder: Path, history: Path) -> Commit | None:
    """The commit of the repository that a folder is in; None if there is no git, or no commit.

    Tracked files that differ make it dirty, but for the history, which each run changes. So does a status that git
    cannot tell.
    """
    head, root = _git(folder, "rev-parse", "HEAD"), _git(folder, "rev-parse", "--show-toplevel")
    if head is None or root is None:
        return None
    path = history.resolve()
    inside = path.is_relative_to(root.strip())
    without = [f":(top,exclude,literal){path.relative_to(root.strip()).as_posix()}"] if inside else []
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no", "--", ":(top)", *without)
    return Commit(hash=head.strip(), dirty=changed != "")


def _git(folder: Path, *arguments: str) -> str | None:
    """The output of a git command; None if it fails."""
    git = shutil.which("git")
    if git is None:
        return None
    done = subprocess.run(
        [git, "-C", folder, *arguments], capture_output=True, encoding="utf-8", errors="replace", check=False
    )
    return done.stdout if done.returncode == 0 else None


class Point(NamedTuple):
    """A ratio of one run."""

    date: str
    label: str
    ratio: float
    fastest_ratio: float | None
    noisy: bool


class Curves(NamedTuple):
    """The ratios of a case on one machine, in the order of the lines, by alternative."""

    machine: str
    case: str
    baseline: str
    points: dict[str, list[Point]]


def curves(runs: Sequence[RecordedRun], cases: Sequence[str] = ()) -> list[Curves]:
    """The ratios over the runs: each machine, case and baseline apart.

    `cases` are beginnings of names; none is every case.
    """
    found: dict[tuple[str, str, str], Curves] = {}
    for run in runs:
        for case in run.cases:
            if not cases or case.name.startswith(tuple(cases)):
                key = run.machine, case.name, case.baseline
                points = found.setdefault(key, Curves(*key, {})).points
                for name, point in _points(run, case):
                    points.setdefault(name, []).append(point)
    return [it for it in found.values() if it.points]


def _points(run: RecordedRun, case: RecordedCase) -> Iterator[tuple[str, Point]]:
    noisy = bool(run.noise or case.noise)
    for row in case.alternatives:
        if row.name != case.baseline and row.ratio is not None:
            yield row.name, Point(run.date, run.label, row.ratio, row.fastest_ratio, noisy)


def as_json(found: Sequence[Curves]) -> list[dict[str, Any]]:
    """The curves as plain dicts and lists."""
    return [
        {**it._asdict(), "points": {name: [point._asdict() for point in each] for name, each in it.points.items()}}
        for it in found
    ]
