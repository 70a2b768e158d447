"""Using a run streams: how much the peak of memory grows above its input, in MiB, by what is done and to how many rows.

    MALLOC_MMAP_THRESHOLD_=65536 python tests/soak/streaming.py

Rows are images of 48 KiB, four times that in float32. What goes through the networks at once is cut to 4 MiB, so that
few rows are enough to see whether all of them are in memory at any time. One line of JSON. It forks.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
import traceback
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

import aaeframe
from aaeframe.cli import main as command_line
from aaeframe.data import Split, from_arrays, statistics
from aaeframe.evaluation import reconstruction
from aaeframe.model import autoencoder

SHAPE = (3, 128, 128)
HELD, WRITTEN = (200, 800), (60, 240)
"""Few and many rows, of which results are small, and of which all that is decoded is written."""


def grown(work: Callable[[], object]) -> int:
    """MiB by which the peak of a process that does this, forked from here, grows."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            work()
            unit = 1024**2 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
            os.write(writing, b"%d" % ((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // unit))
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    if status != 0:
        sys.exit("a measurement failed")
    return int(os.read(reading, 100))


def command(*arguments: object) -> None:
    """A command, which must end well and say nothing."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.argv = ["aaeframe", *map(str, arguments)]
    try:
        command_line()
    except SystemExit as ended:
        if ended.code:
            raise RuntimeError(f"exit code {ended.code}") from ended


def main() -> None:
    """Measure and tell."""
    torch.set_num_threads(1)
    autoencoder.BYTES_AT_ONCE = reconstruction.CHUNK_BYTES = statistics.MEAN_BYTES = 2**22
    rows = np.random.default_rng(0).integers(0, 256, (max(HELD), *SHAPE), dtype=np.uint8)
    few = from_arrays(rows[:40])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run = aaeframe.train(
            few, prior="gaussian(size=1)", network="mlp(hidden=[2])", discriminator="mlp(hidden=[2])",
            epochs=1, batch_size=8, device="cpu", out=folder / "run",
        )  # fmt: skip
        run.evaluate(few, split="test")  # imports
        for count in WRITTEN:
            np.save(folder / f"{count}.npy", rows[:count])
        held = {count: replace(few, test=Split(rows, np.arange(count))) for count in HELD}
        work: dict[str, Callable[[int], object]] = {
            "encode": lambda count: run.encode(held[count].test),
            "evaluate": lambda count: run.evaluate(held[count], split="test"),
            "reconstruct": lambda count: command("reconstruct", run.folder.path, "--data", folder / f"{count}.npy"),
            "sample": lambda count: command("sample", run.folder.path, "--count", count),
        }
        sizes = {"encode": HELD, "evaluate": HELD, "reconstruct": WRITTEN, "sample": WRITTEN}
        told = {name: [grown(partial(it, count)) for count in sizes[name]] for name, it in work.items()}
    print(json.dumps(told))


if __name__ == "__main__":
    main()
