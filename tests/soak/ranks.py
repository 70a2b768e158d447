"""Launches of two processes, of which random ones are killed at random moments, end as if nothing had happened.

    python tests/soak/ranks.py --kills 50 --seed 0 --out RECORD.jsonl

Each launch is `torchrun --nproc-per-node 2 --max-restarts ...`, which starts the processes again after SIGKILL of one.
They must resume the run, or begin it anew if its folder was not there yet. At the end every weight, optimizer state
and metric must be bitwise equal to those of a launch that nothing happened to.

A line of JSON for each launch, and one with the sums. Exit code 1 if a run ended otherwise, or anything was half made.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from itertools import cycle
from pathlib import Path
from typing import Any

import torch

import aaeframe
from killing import CASES, differences, half_made, rows_of, table, tell

EPOCHS = 150
"""The epochs of each run: some seconds of training, next to the start of the processes."""
MOST_KILLS = 3
"""The largest number of kills of one launch."""
LIMIT = 300
"""Seconds until a launch counts as hanging."""


class Launch:
    """One launch of two processes."""

    def __init__(self, run: Path, case: str) -> None:
        self.run = run
        run.parent.mkdir()
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
        launcher = [
            sys.executable,
            "-m",
            "torch.distributed.run",
            "--nproc-per-node",
            "2",
            "--master-addr",
            "127.0.0.1",
        ]
        restarts = ["--max-restarts", str(2 * MOST_KILLS), "--monitor-interval", "0.2", "--rdzv-backend", "c10d"]
        with (run.parent / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [*launcher, *restarts, "--rdzv-endpoint", "127.0.0.1:0", __file__, "--train", case, str(run)],
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def processes(self) -> dict[int, int]:
        """The process ids by rank, of those that run."""
        found = {}
        with suppress(OSError):
            for child in Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split():
                with suppress(OSError):
                    words = Path(f"/proc/{child}/environ").read_bytes().split(b"\0")
                    variables = dict(it.split(b"=", 1) for it in words if b"=" in it)
                    if b"RANK" in variables:
                        found[int(variables[b"RANK"])] = int(child)
        return found

    def kill(self, after: float, dice: random.Random) -> dict[str, Any] | None:
        """Kill one of the processes so many seconds from now, or once both run; None if the launch ended before."""
        end = time.monotonic() + after
        while time.monotonic() < end or len(self.processes()) < 2:
            if self.ended(0.02):
                return None
        rank, process = dice.choice(sorted(self.processes().items()))
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
        return {"rank": rank, "seconds": round(after, 2), "place": self.place()}

    def place(self) -> str:
        """The progress of the run, by its rows of metrics."""
        if not self.run.exists():
            return "before the folder"
        return f"epoch {len(rows_of(self.run)) + 1}"

    def ended(self, seconds: float) -> bool:
        """Whether the launch ends within so many seconds."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)
        return self.process.poll() is not None

    def wait(self) -> int:
        """The exit code; a launch that hangs is killed."""
        if not self.ended(LIMIT):
            for process in (*self.processes().values(), self.process.pid):
                os.kill(process, signal.SIGKILL)
        return self.process.wait()


def train(case: str, run: str) -> None:
    """The work of each process of a launch."""
    torch.set_num_threads(1)
    whole = table(case)
    whole["training"] |= {"epochs": EPOCHS, "checkpoint_every": 10}
    aaeframe.train("digits", config=whole, out=run)


def launches(folder: Path, seed: int, kills: int, cases: list[str]) -> Iterator[dict[str, Any]]:
    """The fate of each launch, until so many processes were killed; the cases take turns."""
    undisturbed: dict[str, tuple[Path, float]] = {}
    done, number = 0, 0
    for case in cycle(cases):
        if done >= kills:
            return
        if case not in undisturbed:
            begun, whole = time.monotonic(), Launch(folder / f"whole-{len(undisturbed)}" / "run", case)
            if whole.wait() != 0:
                sys.exit(f"the undisturbed launch of {case!r} failed: {(whole.run.parent / 'log').read_text()}")
            undisturbed[case] = whole.run, time.monotonic() - begun
        other, seconds = undisturbed[case]
        dice, launch, killed = random.Random(f"{seed} {number}"), Launch(folder / f"{number:04d}" / "run", case), []
        for _ in range(dice.randint(1, MOST_KILLS)):
            if (kill := launch.kill(dice.uniform(0, seconds), dice)) is None:
                break
            killed.append(kill)
        code = launch.wait()
        wrong = half_made(launch.run) if code == 0 else [f"exit code {code}", (launch.run.parent / "log").read_text()]
        if not wrong:
            wrong = differences(launch.run, other, EPOCHS)
        done, number = done + len(killed), number + 1
        yield {"launch": number, "case": case, "kills": killed, "equal": not wrong, "wrong": wrong}


def sums(records: list[dict[str, Any]], seed: int, seconds: float) -> dict[str, Any]:
    """The totals of all launches, with versions and platform."""
    kills = [kill for record in records for kill in record["kills"]]
    return {
        "launches": len(records),
        "launches_killed": sum(bool(record["kills"]) for record in records),
        "launches_equal": sum(record["equal"] for record in records),
        "kills": len(kills),
        "kills_by_rank": dict(Counter(str(kill["rank"]) for kill in kills)),
        "kills_before_the_folder": sum(kill["place"] == "before the folder" for kill in kills),
        "seed": seed,
        "seconds": round(seconds, 1),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "versions": {"aaeframe": aaeframe.__version__, "torch": torch.__version__, "python": platform.python_version()},
        "platform": platform.platform(),
    }


def main() -> None:
    """Run the soak, or the work of one process of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--case", choices=list(CASES), help="this case alone, otherwise all in turn")
    parser.add_argument("--out", type=Path, help="where to write the record too")
    parser.add_argument("--train", nargs=2, metavar=("CASE", "RUN"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.train:
        train(*asked.train)
        return
    begun, records = time.monotonic(), []
    with tempfile.TemporaryDirectory() as folder:
        for record in launches(Path(folder), asked.seed, asked.kills, [asked.case] if asked.case else list(CASES)):
            records.append(record)
            tell(record, asked.out)
    tell({"sums": sums(records, asked.seed, time.monotonic() - begun)}, asked.out)
    sys.exit(any(not record["equal"] for record in records))


if __name__ == "__main__":
    main()
