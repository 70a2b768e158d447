"""Everything that needs a GPU: python3 benchmarks/gpu.py [first | second | third | two-gpus ...] [--out FILE] [--dry]

Four runs of at most 180, 220, 180 and 120 seconds, each useful alone; the last needs two GPUs, and says so. A run is a
row of groups. A group is a child process with a time limit of its own, so a crash or a hang costs that group alone.
Results are merged into one file after each group. This script needs Python alone: wheels that `gpu_pack.py` left in
.gpu are installed first, into a temporary folder. Exit code 0 if every part succeeded, 1 if one failed, 2 for a wrong
call or where there is no GPU. A missed target is no failure.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
CHILD = ROOT / "benchmarks/gpu_parts.py"
PACKED = ROOT / ".gpu"
SOURCES = ("aaeframe", "plugins/aaeframe_plugins", "kernels/aaeframe_kernels", "pyproject.toml", "tests/kernels")
"""Sources of our wheel, and the tests that run there."""
NO_GPU = 77
"""Exit code of a child that finds no GPU."""
TAIL = 30
"""Lines of a group's output that are kept where it failed."""


@dataclass(frozen=True)
class Group:
    """Parts that share a process."""

    parts: tuple[str, ...]
    limit: float
    """Seconds for all of them, with the start of Python and the imports."""


@dataclass(frozen=True)
class Run:
    """Stages in the order of their worth; the groups of one stage run at the same time."""

    limit: float
    """Seconds. The limits of the stages add up to no more."""
    stages: tuple[tuple[str, ...], ...]


GROUPS: Mapping[str, Group] = {
    "accuracy": Group(("accuracy", "accumulator", "tf32"), 60),
    "tests": Group(("tests",), 60),
    "tiles": Group(("tiles",), 35),
    "step": Group(("step-100",), 25),
    "step-compiled": Group(("step-100-compiled",), 60),
    "parzen-speed": Group(("limits", "parzen-speed"), 130),
    "training": Group(("training",), 90),
    "loss": Group(("loss",), 20),
    "step-larger": Group(("step-1024", "step-8192"), 30),
    "parzen": Group(("parzen",), 40),
    "step-joint": Group(("step-joint",), 20),
    "step-1024-compiled": Group(("step-1024-compiled",), 35),
    "step-8192-compiled": Group(("step-8192-compiled",), 35),
    "processes": Group(("processes",), 120),
}
RUNS: Mapping[str, Run] = {
    # The tests compile on the host. They may run beside the accuracy part, and beside nothing that is timed.
    "first": Run(180, (("accuracy", "tests"), ("tiles",), ("step",), ("step-compiled",))),
    "second": Run(220, (("parzen-speed",), ("training",))),
    "third": Run(
        180,
        (
            *(("loss",), ("step-larger",), ("parzen",), ("step-joint",)),
            *(("step-1024-compiled",), ("step-8192-compiled",)),
        ),
    ),
    "two-gpus": Run(120, (("processes",),)),
}
PARTS = tuple(part for group in GROUPS.values() for part in group.parts)


class Session:
    """Starts the groups as child processes and keeps their merged results."""

    def __init__(
        self, out: Path, folder: Path, environment: Mapping[str, str], options: Sequence[str], begun: float
    ) -> None:
        """`begun`: when the first run began, by the monotonic clock."""
        self.out, self.folder, self.environment, self.options = out, folder, environment, options
        self.begun = begun
        self.results: dict[str, Any] = {
            "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "command": " ".join(["python", *sys.argv]),
            "commit": commit(),
            "dry": "--dry" in options,
            "machine": None,
            "groups": {},
            "parts": {},
            "left_out": [],
        }

    def do(self, plan: Mapping[str, Run], parts: Sequence[str]) -> None:
        """Do these parts of the runs. Raises NoGpu at the first group that finds none."""
        self.results["left_out"] = list(parts)
        for run in plan.values():
            self.run(run, parts)

    def run(self, run: Run, parts: Sequence[str]) -> None:
        """Do the groups of a run. What one stage leaves of its time, the next may use."""
        end = self.begun + run.limit
        stages = [groups for stage in run.stages if (groups := wanted(stage, parts))]
        for number, groups in enumerate(stages):
            kept_for_later = sum(map(limit, stages[number + 1 :]))
            self.stage(groups, end - kept_for_later)
        self.begun = time.monotonic()

    def stage(self, groups: Mapping[str, tuple[str, ...]], end: float) -> None:
        """Do groups at the same time, until `end` by the monotonic clock, and write what they found."""
        begun = time.monotonic()
        children = {name: self.start(name, parts) for name, parts in groups.items()}
        with ThreadPoolExecutor() as pool:
            waiting = {pool.submit(wait, child, end - begun): name for name, child in children.items()}
            try:
                for done in as_completed(waiting):
                    name = waiting[done]
                    self.merge(name, groups[name], done.result(), time.monotonic() - begun)
            finally:  # before the pool waits for its threads, which wait for the children
                for child in children.values():
                    kill(child)

    def start(self, name: str, parts: Sequence[str]) -> subprocess.Popen[bytes]:
        """Start a group as a process that leads a group of processes, so that all of them can be killed at once."""
        say(f"--- {name}: {', '.join(parts)}")
        command = [sys.executable, str(CHILD), *self.options, "--group", name, "--out", str(self.file(name)), *parts]
        with self.log(name).open("wb") as log:
            return subprocess.Popen(
                command, cwd=ROOT, env=self.environment, stdout=log, stderr=subprocess.STDOUT, process_group=0
            )

    def merge(self, name: str, parts: Sequence[str], ended: str | None, seconds: float) -> None:
        """Take what a group has written. Its first part without a result is the one in which it ended."""
        lines = self.log(name).read_text("utf-8", errors="replace").splitlines()
        say("\n".join([f"=== {name}: {ended or 'finished'} after {seconds:.0f} s", *lines]))
        found = json.loads(self.file(name).read_text("utf-8")) if self.file(name).exists() else {"parts": {}}
        if ended == f"exit code {NO_GPU}" and not found["parts"]:
            raise NoGpu(lines[-1] if lines else "no GPU")
        missing = [part for part in parts if part not in found["parts"]]
        for part in missing:
            why = ended or "it wrote no result"
            begun = part == missing[0]
            found["parts"][part] = {
                "failed": "\n".join([why, *telling(lines)]) if begun else f"not begun: its group ended ({why})"
            }
        self.results["machine"] = self.results["machine"] or found.get("machine")
        self.results["groups"][name] = {"ended": ended or "finished", "seconds": round(seconds, 1)}
        self.results["parts"] |= found["parts"]
        self.results["left_out"] = [part for part in self.results["left_out"] if part not in found["parts"]]
        write(self.out, self.results)

    def file(self, name: str) -> Path:
        """The file that a group writes after each of its parts."""
        return self.folder / f"{name}.json"

    def log(self, name: str) -> Path:
        """The file for the output of a group."""
        return self.folder / f"{name}.log"


class NoGpu(Exception):
    """There is no GPU here."""


class CannotStart(Exception):
    """The children could not run, and why."""


def parts_of(run: Run) -> list[str]:
    return [part for stage in run.stages for name in stage for part in GROUPS[name].parts]


def wanted(stage: Sequence[str], parts: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The groups of a stage that have a wanted part, with these parts."""
    groups = {name: tuple(part for part in GROUPS[name].parts if part in parts) for name in stage}
    return {name: chosen for name, chosen in groups.items() if chosen}


def telling(lines: Sequence[str]) -> list[str]:
    """The end of what a group has printed, after the failures that it printed before."""
    early = [line for line in lines[:-TAIL] if "FAILED" in line or "ERROR" in line]
    return [*early, *lines[-TAIL:]]


def limit(groups: Mapping[str, Any]) -> float:
    """Seconds that a stage may take."""
    return max(GROUPS[name].limit for name in groups)


def wait(child: subprocess.Popen[bytes], seconds: float) -> str | None:
    """Wait for the child; the way it ended, or None if it finished."""
    try:
        code = child.wait(max(0.0, seconds))
    except subprocess.TimeoutExpired:
        kill(child)
        return "stopped at its limit of time"
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return None if code == 0 else f"exit code {code}"


def kill(child: subprocess.Popen[bytes]) -> None:
    """End the child and the processes that it started. One that the driver holds may outlive this."""
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    with suppress(subprocess.TimeoutExpired):
        child.wait(5)


@contextmanager
def prepared(dry: bool) -> Iterator[dict[str, str]]:
    """The environment of the children, in which aaeframe can be imported. Raises CannotStart if it cannot be."""
    environment = {k: v for k, v in os.environ.items() if k not in ("TRITON_INTERPRET", "AAEFRAME_KERNELS")}
    environment["PYTHONUNBUFFERED"] = "1"  # what a child has printed is there when it is killed
    if dry:
        environment["CUDA_VISIBLE_DEVICES"] = ""
    if (PACKED / "data").is_dir():
        environment.setdefault("AAEFRAME_DATA", str(PACKED / "data"))
    with tempfile.TemporaryDirectory() as folder:
        if not installed():
            install(Path(folder))
            environment["PYTHONPATH"] = os.pathsep.join([folder, *filter(None, [os.environ.get("PYTHONPATH")])])
        yield environment


def installed() -> bool:
    try:
        importlib.metadata.version("aaeframe")
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def install(folder: Path) -> None:
    """Unpack the wheels of .gpu. Raises CannotStart if there are none, or if they are not of these sources."""
    wheels = sorted(map(str, (PACKED / "wheels").glob("*.whl")))
    if not wheels:
        raise CannotStart(f"aaeframe is not installed, and {PACKED} has no wheels: run benchmarks/gpu_pack.py first")
    if about()["sources"] != digest_of_sources():
        raise CannotStart(f"the sources have changed since {PACKED} was made: run benchmarks/gpu_pack.py again")
    options = ("-q", "--no-index", "--no-deps", "--no-compile", "--no-cache-dir", "--disable-pip-version-check")
    command = [sys.executable, "-m", "pip", "install", *options, "--target", str(folder), *wheels]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise CannotStart(f"pip could not install {PACKED / 'wheels'}:\n{done.stderr.strip()}")


def about() -> dict[str, Any]:
    """The record that gpu_pack.py wrote next to the wheels."""
    file = PACKED / "about.json"
    if not file.exists():
        raise CannotStart(f"{file} is missing: run benchmarks/gpu_pack.py again")
    return json.loads(file.read_text("utf-8"))


def digest_of_sources() -> str:
    """SHA-256 of what is measured and of what measures it."""
    files = [file for it in SOURCES for file in ((ROOT / it).rglob("*") if (ROOT / it).is_dir() else [ROOT / it])]
    digest = hashlib.sha256()
    for file in sorted([*files, *(ROOT / "benchmarks").glob("*.py")]):
        if file.is_file() and "__pycache__" not in file.parts:
            digest.update(f"{file.relative_to(ROOT)}\0".encode() + file.read_bytes() + b"\0")
    return digest.hexdigest()


def commit() -> str | None:
    """The commit that is measured, with "+" if files have changed since; None if neither git nor .gpu knows."""
    git = ["git", "-C", str(ROOT)]
    try:
        head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        changed = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return about()["commit"] if (PACKED / "about.json").exists() else None
    return head + ("+" if changed.strip() else "")


def write(path: Path, value: Any) -> None:
    """Write JSON whole or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(json.dumps(value, indent=1, allow_nan=False) + "\n", "utf-8")
    partial.replace(path)


def show_plan(plan: Mapping[str, Run]) -> None:
    for name, run in plan.items():
        say(f"{name}, at most {run.limit:.0f} s")
        for stage in run.stages:
            groups = (f"{group} ({', '.join(GROUPS[group].parts)})" for group in stage)
            say(f"    at most {limit(dict.fromkeys(stage)):.0f} s: {' beside '.join(groups)}")


def say(line: str) -> None:
    print(line, flush=True)


def terminate(number: int, frame: Any) -> None:
    """End by an exception, so that the children are killed."""
    raise SystemExit(128 + number)


def main(arguments: list[str] | None = None) -> int:
    begun = time.monotonic()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="*", metavar="RUN", help=f"{', '.join(RUNS)}; all of them if not given")
    parser.add_argument("--only", action="append", choices=PARTS, metavar="PART", help="may be repeated; see --list")
    parser.add_argument("--out", type=Path, default=Path("gpu.json"), metavar="FILE", help="gpu.json if not given")
    parser.add_argument("--dry", action="store_true", help="rehearse every part on the CPU, at a tiny size")
    parser.add_argument("--break", dest="broken", metavar="GROUP=crash|hang", help="with --dry: break its last part")
    parser.add_argument("--list", action="store_true", help="list runs, groups and parts, and do nothing")
    asked = parser.parse_args(arguments)
    if unknown := [name for name in asked.runs if name not in RUNS]:
        parser.error(f"there is no run {unknown[0]!r}; available: {', '.join(RUNS)}")
    if asked.broken and not (asked.dry and asked.broken.partition("=")[::2] in breakages()):
        parser.error(f"--break {asked.broken}: needs --dry and GROUP=crash or GROUP=hang; groups: {', '.join(GROUPS)}")
    if not asked.out.resolve().parent.is_dir():
        parser.error(f"--out {asked.out}: there is no folder {asked.out.resolve().parent}")
    plan = {name: run for name, run in RUNS.items() if not asked.runs or name in asked.runs}
    parts = [part for run in plan.values() for part in parts_of(run) if not asked.only or part in asked.only]
    if not parts:
        parser.error(f"none of {', '.join(asked.only)} is a part of {', '.join(plan)}; see --list")
    if asked.list:
        show_plan(plan)
        return 0
    signal.signal(signal.SIGTERM, terminate)
    options = [*(["--dry"] if asked.dry else []), *(["--break", asked.broken] if asked.broken else [])]
    try:
        with prepared(asked.dry) as environment, tempfile.TemporaryDirectory() as folder:
            session = Session(asked.out, Path(folder), environment, options, begun)
            session.do(plan, parts)
    except (CannotStart, NoGpu) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    failed = [name for name, part in session.results["parts"].items() if failures(part)]
    say(f"written: {asked.out}" + (f"; failed: {', '.join(failed)}" if failed else ""))
    return 1 if failed else 0


def breakages() -> set[tuple[str, str]]:
    return {(group, how) for group in GROUPS for how in ("crash", "hang")}


def failures(part: Mapping[str, Any]) -> list[str]:
    """Failures of a part: its own, or those of alternatives of its cases."""
    if "failed" in part:
        return [part["failed"]]
    cases = part["found"] if isinstance(part["found"], list) else []
    return [why for case in cases for why in case["failed"].values()]


if __name__ == "__main__":
    sys.exit(main())
