"""Small runs on the digits, moments at which to do something to their process, and whether runs are the same."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from aaeframe.errors import AaeframeError
from aaeframe.runs.reading import read_config
from aaeframe.storage.checkpoint import latest, paths, read
from aaeframe.storage.metrics_file import MetricsFile
from aaeframe.storage.run_folder import RunFolder

EPOCHS, STEPS = 5, 6
"""The epochs, and steps of an epoch, of each run on digits: 1,257 training rows in batches of 200.

A checkpoint is written every second epoch.
"""

SMALL = {"network": "mlp(hidden=[16])", "discriminator": "mlp(hidden=[16])"}
TRAINING = {"epochs": EPOCHS, "batch_size": 200, "checkpoint_every": 2, "device": "cpu"}
CASES: dict[str, dict[str, Any]] = {
    "plain": {"prior": "gaussian"},
    "moving average": {"prior": "gaussian", "training": {"ema": 0.9}},
    "bf16": {"prior": "gaussian", "training": {"precision": "bf16"}},
    "labels": {"prior": "mixture", "data": {"labels": 100}, "training": {"batch_size": 190}},
    "joint": {
        "prior": "categorical(follow=0.1,follow_after=9)+gaussian",
        "training": {"schedule": "joint", "ema": 0.9},
    },
    "universal, momentum": {
        "prior": "swissroll",
        "encoder": "universal(hidden=[16])",
        "training": {"input_noise": 0.1},
        "optimizers": {"generator": "sgd(lr=0.01)"},
    },
    "semi-supervised, streamed": {
        "prior": "y=categorical+style=gaussian(size=3)",
        "data": {"labels": 100, "max_resident_mib": 0.01},
        "recipe": "semi-supervised",
        "training": {"ema": 0.9},
    },
}


def table(case: str) -> dict[str, Any]:
    """The configuration of a case."""
    changed = CASES[case]
    return {**SMALL, **changed, "training": {**TRAINING, **changed.get("training", {})}}


def rows_of(run: Path) -> list[dict[str, Any]]:
    """The metrics of a run, without those that time themselves."""
    times = ("seconds", "steps_per_second")
    rows = MetricsFile(run / "metrics.jsonl").rows()
    return [{key: value for key, value in row.items() if key not in times} for row in rows]


def differences(run: Path, other: Path, epochs: int = EPOCHS) -> list[str]:
    """In what two finished runs differ: weights, their average, optimizers, sums and metrics."""
    mine, theirs = latest(run / "checkpoints"), latest(other / "checkpoints")
    found = [f"the last checkpoint is {it.name}" for it in (mine, theirs) if it.name != f"step-{epochs * STEPS:08d}"]
    for file in ("model.safetensors", "optimizer.safetensors"):
        first, second = load_file(mine / file), load_file(theirs / file)
        found += [f"{file}: {name} is in one only" for name in first.keys() ^ second.keys()]
        found += [
            f"{file}: {name}" for name in first.keys() & second.keys() if not torch.equal(first[name], second[name])
        ]
    if rows_of(run) != rows_of(other) or len(rows_of(run)) != epochs:
        found.append("metrics.jsonl")
    return found


def half_made(run: Path) -> list[str]:
    """The parts of a killed run that are neither complete nor absent: its folder, its checkpoints."""
    if not run.exists():
        return []
    try:
        read_config(RunFolder(run))
        latest(run / "checkpoints")
        for path in paths(run / "checkpoints"):
            read(path)
    except AaeframeError as error:
        return [str(error)]
    return []


@dataclass
class Watch:
    """Everything this process does to files under a folder, one event after another, such as "os.rename a -> b".

    `seen` is told each, with its number from 1 on, before it takes place. Nothing of what is watched is patched but
    os.fsync, which Python does not tell of.
    """

    root: Path
    seen: Callable[[int, str], None]
    count: int = 0
    flushing: int | None = None
    """The descriptor that is about to be flushed, while that is told of."""
    _flushed: dict[int, int] = field(default_factory=dict, repr=False)
    """The bytes of each file, by its inode, that were flushed so far."""

    def begin(self) -> None:
        """Watch until the process ends: Python keeps such a watch for good."""
        sys.addaudithook(self._audited)
        flush = os.fsync

        def fsync(descriptor: int) -> None:
            self.flushing = descriptor
            self._tell("os.fsync")
            self.flushing = None
            flush(descriptor)
            found = os.fstat(descriptor)
            self._flushed[found.st_ino] = found.st_size

        os.fsync = fsync

    def tear(self) -> bool:
        """Leave half of what is about to be flushed, as if no more had come to the disk; False if that is no file."""
        if self.flushing is None or not stat.S_ISREG((found := os.fstat(self.flushing)).st_mode):
            return False
        os.ftruncate(self.flushing, (self._flushed.get(found.st_ino, 0) + found.st_size) // 2)
        return True

    def _audited(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and self._is_inside(*arguments) and arguments[2] & os.O_APPEND:
            self._keep(Path(arguments[0]))
        if event in ("open", "os.mkdir", "os.remove", "os.rmdir") and self._is_inside(*arguments):
            self._tell(f"{event} {self._short(arguments[0])}")
        elif event == "os.rename" and self._is_inside(*arguments):
            self._tell(f"{event} {self._short(arguments[0])} -> {self._short(arguments[1])}")

    def _keep(self, path: Path) -> None:
        """Record the size of an appended file: its content up to there must survive a later kill."""
        if path.exists():
            self._flushed[path.stat().st_ino] = path.stat().st_size

    def _is_inside(self, path: object, *others: object) -> bool:
        """Whether a path is under the root; one without a folder is of shutil.rmtree, which has the folder open."""
        return isinstance(path, str | Path) and (str(path).startswith(str(self.root)) or not Path(path).parent.name)

    def _short(self, path: object) -> str:
        name = str(path).removeprefix(f"{self.root}/").replace(f".{os.getpid()}.", ".PID.")
        return re.sub(r"\.[0-9a-f]{8}\.tmp", ".RANDOM.tmp", name)

    def _tell(self, event: str) -> None:
        self.count += 1
        self.seen(self.count, event)


def die() -> None:
    """End this process as the system ends one that is out of memory, or out of its time."""
    os.kill(os.getpid(), signal.SIGKILL)


def tell(line: dict[str, Any], out: Path | None) -> None:
    """Print a line of the record, and add it to the file that has it too."""
    print(json.dumps(line), flush=True)
    if out is not None:
        with out.open("a") as file:
            file.write(json.dumps(line) + "\n")
