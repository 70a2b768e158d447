"""Runs killed by SIGKILL at random moments, and resumed until they are done, end as if they had never been stopped.

    python tests/soak/kill.py --runs 100 --seed 0 --out RECORD.jsonl

Each process of a run is a real one, forked from this, which has imported everything: so it costs a second. A run is
killed one to five times, new or resumed: by the clock, at any moment; or at the n-th thing it does to a file, which may
be inside the writing of a checkpoint or the removal of an old one, inside resuming, or while the run's folder is made;
or there with half of the file written. After every kill the run must be whole or absent, and each of its checkpoints is
verified. At the end every weight, optimizer state and metric must be bitwise equal to those of a run that
was never stopped. Every fiftieth run is all of `aaeframe train`, with its evaluation and its figures.

A line of JSON for each run, and one with the sums. Exit code 1 if a run ended otherwise, or anything was half made.
"""

from __future__ import annotations

import argparse
import mmap
import os
import platform
import random
import signal
import struct
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from itertools import cycle
from pathlib import Path
from typing import Any

import tomli_w
import torch

import aaeframe
import aaeframe.cli.summary
import aaeframe.runs.reporting
from aaeframe.cli import main as command_line
from aaeframe.cli.progress import Lines
from aaeframe.components.registry import Registry
from aaeframe.configuration.schema import parse
from aaeframe.runs.start import NO_CALLBACKS, resume, start
from aaeframe.storage.checkpoint import paths
from killing import CASES, EPOCHS, STEPS, Watch, die, differences, half_made, table, tell

PLACES = (
    *("loading", "making the folder", "resuming", "training", "writing a checkpoint", "removing a checkpoint"),
    "after training",
)
LAST = f"step-{EPOCHS * STEPS:08d}"
MOST_KILLS = 5
WHOLE_COMMAND_EVERY = 50


@dataclass(frozen=True)
class Moment:
    """When a process is killed; never, if nothing is given."""

    seconds: float | None = None
    """After its begin."""
    event: int | None = None
    """At the n-th thing it does to a file."""
    torn: bool = False
    """At the first file from there on that is flushed to the disk, of which half is left."""


class Board:
    """The current position of a process, in memory that its parent can read after killing it."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 512)

    def write(self, place: str, step: int, count: int, event: str) -> None:
        self._memory[:] = struct.pack("<qqq488s", PLACES.index(place), step, count, event.encode())

    def read(self) -> dict[str, Any]:
        place, step, count, event = struct.unpack("<qqq488s", self._memory[:])
        return {"place": PLACES[place], "step": step, "events": count, "event": event.rstrip(b"\0").decode()}


@dataclass
class Process:
    """One process that trains a run: from its beginning, or on from where it is."""

    run: Path
    case: str
    whole_command: bool
    moment: Moment = Moment()
    board: Board = field(default_factory=Board)
    place: str = "loading"
    step: int = 0
    _inside: str | None = None
    """The current activity at this place."""

    def live(self) -> tuple[int, float]:
        """The exit code, negative for a signal, and the seconds that it took."""
        began = time.monotonic()
        child = os.fork()
        if child == 0:
            os._exit(self._code())
        if self.moment.seconds is not None:
            time.sleep(self.moment.seconds)
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        return os.waitstatus_to_exitcode(status), time.monotonic() - began

    def _code(self) -> int:
        try:
            self._work()
        except SystemExit as ended:
            return int(ended.code or 0)
        except BaseException:
            traceback.print_exc()
            return 1
        return 0

    def _work(self) -> None:
        begun = self.run.exists()
        self.place = "resuming" if begun else "loading"
        self.watch = Watch(self.run.parent, self._seen)
        self.watch.begin()
        if self.whole_command:
            self._command(
                ["--resume", str(self.run)] if begun else ["--config", str(self._file()), "--out", str(self.run)]
            )
            return
        callbacks = replace(NO_CALLBACKS, display=self, warn=lambda sentence: None)
        if begun:
            resume(self.run, Registry.load(), callbacks=callbacks)
        else:
            start(parse(table(self.case)), Registry.load(), out=self.run, callbacks=callbacks)

    def _file(self) -> Path:
        file = self.run.with_suffix(".toml")
        file.write_text(tomli_w.dumps(table(self.case)))
        return file

    def _command(self, arguments: list[str]) -> None:
        Lines.stepped = lambda _, epoch, step: self.stepped(epoch, step)
        sys.argv = ["aaeframe", "train", *arguments]
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in (1, 2):
            os.dup2(nowhere, stream)
        command_line()

    def stepped(self, epoch: int, step: int) -> None:
        self.place, self.step, self._inside = "training", step, None
        self.board.write(self.place, step, self.watch.count, "")

    def epoch_ended(self, row: dict[str, Any], warnings: list[str]) -> None:
        pass

    def _seen(self, count: int, event: str) -> None:
        if event.startswith("os.mkdir .run."):
            self._inside = "making the folder"
        elif event.startswith("os.mkdir") and ".step-" in event:
            self._inside = self._inside or "writing a checkpoint"
        elif event.startswith("os.rename") and "/.step-" in event.partition(" -> ")[2]:
            self._inside = "removing a checkpoint"
        self.board.write(self._inside or self.place, self.step, count, event)
        self._end_if_now(count)
        if event.startswith("os.rename") and self._inside == "writing a checkpoint":
            self._inside = None
            self.place = "after training" if event.endswith(LAST) else self.place
        elif event.startswith("os.rmdir") and ".step-" in event:
            self._inside = None
            self.board.write(self.place, self.step, count, event)

    def _end_if_now(self, count: int) -> None:
        if self.moment.event is not None and count >= self.moment.event and (not self.moment.torn or self.watch.tear()):
            die()


@dataclass
class Soak:
    """Runs in a folder, and what an uninterrupted one of each case is and takes."""

    folder: Path
    seed: int
    whole: dict[tuple[str, bool], tuple[Path, float, int]] = field(default_factory=dict)
    """The uninterrupted run, its seconds and its count of file operations, by case and by use of the whole command."""

    def warm_up(self) -> None:
        """Import all that a training imports, so that its processes, forked from this one, do not; stay one thread."""
        torch.set_num_threads(1)
        aaeframe.train("digits", config=table("plain"), out=self.folder / "warm")
        if threading.active_count() > 1:
            sys.exit("this process has threads, and must not be forked")

    def uninterrupted(self, case: str, whole_command: bool) -> tuple[Path, float, int]:
        key = case, whole_command
        if key not in self.whole:
            process = Process(self.folder / f"whole-{len(self.whole)}" / "run", case, whole_command)
            process.run.parent.mkdir()
            code, seconds = process.live()
            if code != 0:
                sys.exit(f"the uninterrupted run of {case!r} ended with code {code}")
            self.whole[key] = process.run, seconds, process.board.read()["events"]
        return self.whole[key]

    def moments(self, number: int, seconds: float, events: int) -> Iterator[Moment]:
        dice = random.Random(f"{self.seed} {number}")
        for _ in range(dice.randint(1, MOST_KILLS)):
            by_clock = Moment(seconds=round(dice.uniform(0, seconds), 4))
            event = dice.randint(1, events)
            yield dice.choice([by_clock, Moment(event=event), Moment(event=event, torn=True)])

    def killed(self, number: int, case: str, whole_command: bool) -> dict[str, Any]:
        """Kill a run at its moments and resume it until it is done; what happened."""
        other, seconds, events = self.uninterrupted(case, whole_command)
        run = self.folder / f"{number:04d}" / "run"
        run.parent.mkdir()
        kills: list[dict[str, Any]] = []
        wrong: list[str] = []
        verified = 0
        for moment in [*self.moments(number, seconds, events), Moment()]:
            process = Process(run, case, whole_command, moment)
            begun = run.exists()
            code, _ = process.live()
            wrong += half_made(run)
            verified += len(paths(run / "checkpoints"))
            if code == -signal.SIGKILL:
                told = {key: value for key, value in asdict(moment).items() if value}
                kills.append({"process": "resumed" if begun else "new", **told, **process.board.read()})
            elif code != 0:
                wrong.append(f"a process ended with code {code}")
            if wrong or code == 0:
                break
        if not wrong:
            wrong += differences(run, other)
            wrong += [f"left behind: {path.name}" for path in run.rglob(".*")]
        said = {"run": number, "case": case, "whole_command": whole_command}
        return {**said, "kills": kills, "checkpoints_verified": verified, "equal": not wrong, "wrong": wrong}


def sums(records: list[dict[str, Any]], seed: int, seconds: float) -> dict[str, Any]:
    """The totals of all runs, with versions and platform."""
    kills = [kill for record in records for kill in record["kills"]]
    return {
        "runs": len(records),
        "runs_killed": sum(bool(record["kills"]) for record in records),
        "runs_equal": sum(record["equal"] for record in records),
        "kills": len(kills),
        "kills_of_new_processes": sum(kill["process"] == "new" for kill in kills),
        "kills_of_resumed_processes": sum(kill["process"] == "resumed" for kill in kills),
        "kills_by_place": dict(Counter(kill["place"] for kill in kills)),
        "files_left_half_written": sum(kill.get("torn", False) for kill in kills),
        "checkpoints_verified": sum(record["checkpoints_verified"] for record in records),
        "seed": seed,
        "seconds": round(seconds, 1),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "versions": {"aaeframe": aaeframe.__version__, "torch": torch.__version__, "python": platform.python_version()},
        "platform": platform.platform(),
    }


def main() -> None:
    """Run the soak."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100, help="how many are killed at least once")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="where to write the record too")
    asked = parser.parse_args()
    began, records = time.monotonic(), []
    with tempfile.TemporaryDirectory() as folder:
        soak = Soak(Path(folder), asked.seed)
        soak.warm_up()
        cases = cycle(CASES)
        while sum(bool(record["kills"]) for record in records) < asked.runs:  # who was done before does not count
            number = len(records)
            whole_command = number % WHOLE_COMMAND_EVERY == WHOLE_COMMAND_EVERY - 1
            records.append(soak.killed(number, next(cases), whole_command))
            tell(records[-1], asked.out)
    tell({"sums": sums(records, asked.seed, time.monotonic() - began)}, asked.out)
    sys.exit(any(not record["equal"] for record in records))


if __name__ == "__main__":
    main()
