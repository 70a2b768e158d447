"""The long fuzz of every parser: python tests/fuzz/long.py [--cases 10000] [--target NAME] [--out RECORD.json]

Each target has a process of its own, in which 500 cases may take 2 GiB of memory more than was there before them, and
a case 20 seconds of the processor's time. Linux only.
With --coverage-guided the same cases are chosen by atheris (pip install atheris), which looks at the code they reach.
"""

from __future__ import annotations

import argparse
import gc
import json
import multiprocessing
import os
import platform
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path

MOST_MEMORY = 2 * 2**30
"""Bytes of memory that a round of cases may take beyond what was there before it. Twice what a small file may unfold
to, as a picture of 89 megapixels is there in several forms at once. Of address space it may ask for four times as much,
as readers may ask for what a header promises before they find the file too short."""

ROUND = 500
"""Cases after which Hypothesis begins anew: it remembers all it has tried, which is memory that no parser took."""

MOST_SECONDS = 20
"""The limit of processor time for one case, in seconds."""

MOST_WAITING = 600
"""Seconds for one case, however busy the machine is: it waits for something that does not come."""


class TooSlow(BaseException):
    """A case took longer than `MOST_SECONDS`; no error of ours, and nothing that a parser catches."""


def main() -> None:
    """Fuzz, print a line for each target, and write the record."""
    arguments = _arguments()
    guided = arguments.coverage_guided
    records = [_in_a_process(name, arguments.cases, arguments.seed, guided) for name in arguments.target]
    record = {
        "what": "python tests/fuzz/long.py" + (" --coverage-guided" if guided else ""),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "python": platform.python_version(),
        "seed": arguments.seed,
        "limits": {"memory_mib": MOST_MEMORY // 2**20, "seconds": MOST_SECONDS},
        "versions": _versions(),
        "targets": records,
    }
    if arguments.out:
        arguments.out.write_text(json.dumps(record, indent=1) + "\n")
    sys.exit(any(it["finding"] for it in records))


def _arguments() -> argparse.Namespace:
    names = [target.name for target in _targets()]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=10_000, help="for each target")
    parser.add_argument("--target", choices=names, nargs="*", default=names)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--coverage-guided", action="store_true", help="with atheris")
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


def _targets():
    from fuzzing.targets import TARGETS

    return TARGETS


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    return {
        name: version(name) for name in ("hypothesis", "numpy", "scipy", "pillow", "safetensors", "torch", "pydantic")
    }


def _in_a_process(name: str, cases: int, seed: int, guided: bool) -> dict:
    """The record of one target."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        told = Path(folder) / "record.json"
        child = multiprocessing.get_context("spawn").Process(target=_run, args=(name, cases, seed, guided, folder))
        child.start()
        child.join()
        record = json.loads(told.read_text()) if told.exists() else {"target": name, "finding": None}
    if child.exitcode and not record["finding"]:
        record["finding"] = f"the process ended with {child.exitcode}"
    shown = {key: value for key, value in record.items() if key not in ("target", "finding")}
    print(f"{name:12}", json.dumps(shown), flush=True)
    if record["finding"]:
        print(record["finding"], flush=True)
    return record


def _run(name: str, cases: int, seed: int, guided: bool, folder: str) -> None:
    """In the child: fuzz one target and leave its record in the folder, after each thousand cases."""
    from hypothesis.errors import HypothesisWarning

    if guided:
        import atheris

        with atheris.instrument_imports(include=["aaeframe", "tomllib", "json", "csv", "zipfile", "numpy.lib"]):
            target = next(it for it in _targets() if it.name == name)
    else:
        target = next(it for it in _targets() if it.name == name)
    warnings.simplefilter("error")
    warnings.simplefilter("ignore", HypothesisWarning)
    watched = _Watched(target, Path(folder))
    _bound_memory()
    if guided:
        _guided(watched, cases, seed)
    else:
        _random(watched, cases, seed)


class _Watched:
    """A target whose cases are counted, timed and bounded."""

    def __init__(self, target, folder: Path) -> None:
        self.target, self.folder = target, folder
        self.outcomes: Counter[str] = Counter()
        self.slowest, self.most, self.finding = 0.0, 0.0, None
        self.begin()
        for alarm in (signal.SIGPROF, signal.SIGALRM):
            signal.signal(alarm, self._too_slow)

    def begin(self) -> None:
        """Count memory from here on."""
        gc.collect()
        Path("/proc/self/clear_refs").write_text("5")  # the peak is what is there now
        self.began = _peak()

    def __call__(self, case) -> None:
        start = time.process_time()
        signal.setitimer(signal.ITIMER_PROF, MOST_SECONDS)
        signal.setitimer(signal.ITIMER_REAL, MOST_WAITING)
        try:
            self.outcomes[self.target.outcome(case, self.folder / "case")] += 1
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.setitimer(signal.ITIMER_REAL, 0)
            self.slowest = max(self.slowest, time.process_time() - start)
        taken = _peak() - self.began
        self.most = max(self.most, taken)
        if taken > MOST_MEMORY / 2**20:
            raise MemoryError(f"{taken:.0f} MiB were taken")
        if self.outcomes.total() % 1000 == 0:
            self.tell()

    @staticmethod
    def _too_slow(*_) -> None:
        raise TooSlow

    def tell(self) -> None:
        """Leave the record."""
        cases = self.outcomes.total()
        record = {
            "target": self.target.name,
            "cases": cases,
            "accepted": self.outcomes["accepted"],
            "refused": {name: count for name, count in self.outcomes.most_common() if name != "accepted"},
            "slowest_seconds": round(self.slowest, 3),
            "most_mib_taken": round(self.most),
            "finding": self.finding,
        }
        (self.folder / "record.json").write_text(json.dumps(record))


def _random(watched: _Watched, cases: int, seed: int) -> None:
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import seed as seeded

    plan = settings(
        max_examples=min(cases, ROUND),
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    try:
        while (before := watched.outcomes.total()) < cases:
            watched.begin()
            seeded(seed)(plan(given(case=watched.target.cases)(lambda case: watched(case))))()
            seed += 1
            if watched.outcomes.total() == before:
                break
    except BaseException:
        watched.finding = traceback.format_exc()[-6000:]
    watched.tell()


def _guided(watched: _Watched, cases: int, seed: int) -> None:
    import atheris
    from hypothesis import HealthCheck, given, settings

    plan = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck))
    fuzz = plan(given(case=watched.target.cases)(lambda case: watched(case))).hypothesis.fuzz_one_input

    def one(content: bytes) -> None:
        try:
            fuzz(content)
        except BaseException:
            watched.finding = traceback.format_exc()[-6000:]
            watched.tell()
            raise
        if watched.outcomes.total() >= cases:
            watched.tell()
            os._exit(0)  # atheris has no other end

    # Most bytes make no case: so many more are tried, and the limits are ours.
    atheris.Setup(
        [sys.argv[0], f"-seed={seed + 1}", "-max_len=8192", "-len_control=0", "-rss_limit_mb=0", "-timeout=0"], one
    )
    atheris.Fuzz()


def _bound_memory() -> None:
    with Path("/proc/self/statm").open() as stream:
        taken = int(stream.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + 4 * MOST_MEMORY, resource.RLIM_INFINITY))


def _peak() -> float:
    """The most MiB that were resident at once since `begin`; Linux only."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 2**10


if __name__ == "__main__":
    main()
