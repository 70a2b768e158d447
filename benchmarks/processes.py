"""Steps a second of two processes with one thread each against one process with two: python benchmarks/processes.py

Both train on minibatches of the same global size. They take turns: each round starts one and then the other, and the
order alternates. What a launch reports is the median time of a step after the first ones, measured by its first
process. The bytes that a process gives to the exchanges of a step are counted, and compared with the sizes of the
parameters of the phases. Run it on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from torch import distributed as dist

from aaeframe import __version__, processes
from aaeframe.benchmarking.inputs import digit_images
from aaeframe.benchmarking.sizes import Sizes
from aaeframe.benchmarking.step import parts_for
from aaeframe.benchmarking.training_step import training_step

SCHEDULES = ("alternating", "joint")
WARM_UP = 10
"""Steps that are not timed."""


class Bytes:
    """Counts the bytes that this process gives to exchanges."""

    def __init__(self) -> None:
        self.count = 0
        reduce = dist.all_reduce

        def counted(tensor: torch.Tensor, *arguments: Any, **options: Any) -> Any:
            self.count += tensor.numel() * tensor.element_size()
            return reduce(tensor, *arguments, **options)

        dist.all_reduce = counted


def timed(schedule: str, batch: int, width: int, steps: int) -> dict[str, Any]:
    """The seconds of a step, and its bytes, in this process."""
    counting = Bytes()
    with processes.joined("measure steps"):
        sizes = Sizes(width=width)
        images = digit_images(batch, sizes.side)
        step = training_step(images, parts_for(sizes, schedule), "fp32", torch.device("cpu"))
        seconds = []
        for number in range(WARM_UP + steps):
            before, begun = counting.count, time.perf_counter()
            step()
            if number >= WARM_UP:
                seconds.append(time.perf_counter() - begun)
            if number == 0:
                moved = counting.count - before
        return {"seconds": statistics.median(seconds), "bytes": moved, "first": processes.is_first()}


def launch(size: int, arguments: list[str]) -> dict[str, Any]:
    """Measurements of the first of `size` processes, with as many threads each as make two in all."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = {**os.environ, "OMP_NUM_THREADS": str(2 // size), "WORLD_SIZE": str(size)}
    shared |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    with tempfile.TemporaryDirectory() as folder:
        children = [
            subprocess.Popen(
                [sys.executable, __file__, "child", *arguments, f"{folder}/{rank}"],
                env={**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            )
            for rank in range(size)
        ]
        if any(child.wait() for child in children):
            sys.exit("a process failed")
        found: dict[str, Any] = json.loads(Path(folder, "0").read_text())
        return found


def expected(schedule: str, width: int) -> int:
    """The bytes of the gradients that a step averages: of each phase, the parameters that it trains."""
    pixels, code = Sizes().pixels, Sizes().code
    inner = width * width + width
    encoder = pixels * width + width + inner + width * code + code
    decoder = code * width + width + inner + width * pixels + pixels
    discriminator = code * width + width + inner + width + 1
    phases = encoder + decoder + discriminator + (encoder if schedule == "alternating" else 0)
    return 4 * phases


def compared(schedule: str, batch: int, width: int, rounds: int, steps: int) -> dict[str, Any]:
    """Steps a second of both, interleaved."""
    arguments = [schedule, str(batch), str(width), str(steps)]
    times: dict[int, list[float]] = {1: [], 2: []}
    moved = 0
    for number in range(rounds):
        for size in (1, 2) if number % 2 else (2, 1):
            found = launch(size, arguments)
            times[size].append(found["seconds"])
            moved = max(moved, found["bytes"])
    ratio = statistics.median(one / two for one, two in zip(times[1], times[2], strict=True))
    line = {
        **{"schedule": schedule, "batch": batch, "width": width, "seconds": times, "speed_of_two": round(ratio, 3)},
        **{"bytes": moved, "bytes_expected": expected(schedule, width)},
    }
    print(json.dumps(line), flush=True)
    return line


def main() -> None:
    """Run a round of launches for each schedule and batch, or, as their child, one training."""
    if sys.argv[1:2] == ["child"]:
        schedule, batch, width, steps, out = sys.argv[2:]
        Path(out).write_text(json.dumps(timed(schedule, int(batch), int(width), int(steps))))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--schedule", choices=SCHEDULES, nargs="+", default=SCHEDULES)
    parser.add_argument("--batch", type=int, nargs="+", default=[100, 1000])
    parser.add_argument("--width", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    lines = [
        compared(schedule, batch, asked.width, asked.rounds, asked.steps)
        for schedule in asked.schedule
        for batch in asked.batch
    ]
    versions = {"aaeframe": __version__, "torch": torch.__version__, "python": platform.python_version()}
    record = {"date": time.strftime("%Y-%m-%d", time.gmtime()), "machine": platform.platform(), "versions": versions}
    if asked.out is not None:
        asked.out.write_text(json.dumps({**record, "cases": lines}, indent=1))


if __name__ == "__main__":
    main()
