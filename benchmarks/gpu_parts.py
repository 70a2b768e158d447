"""The child of gpu.py, which does the parts of a group: python gpu_parts.py --group NAME --out FILE PART ...

FILE is written anew after each part, so that a crash or a hang loses the part at hand and no other.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import torch
from gpu import NO_GPU, say, write
from gpu_checks import Failed, accumulator, accuracy, collected_tests, kernel_tests, processes, tf32, training
from gpu_timings import compiled_tiles, parzen_speed, tile_choice
from targets import parzen_targets, step_targets

from aaeframe.benchmarking import SUITES
from aaeframe.benchmarking.case import BenchSettings
from aaeframe.benchmarking.limits import Limits, measure_limits
from aaeframe.benchmarking.measure import measure_case
from aaeframe.benchmarking.report import this_machine
from aaeframe.benchmarking.sizes import Sizes
from aaeframe.benchmarking.step import Steps, compiled_case

CPU = torch.device("cpu")
SMALL = Sizes(side=8, width=16, code=2)


@dataclass(frozen=True)
class Part:
    """Something to find out."""

    what: str
    find: Callable[[torch.device], Any]
    """Finds it on a GPU."""
    rehearse: Callable[[torch.device], Any]
    """Does the same at a tiny size on the CPU."""
    targets: Callable[[Any], dict[str, bool]] | None = None
    """Says for each target whether what was found meets it."""


def cases(suite: str, begin: str = "") -> tuple[Callable[..., Any], Callable[..., Any]]:
    """To find and to rehearse: those cases of a suite of `aaeframe bench` whose names begin so."""
    rehearsed = begin.partition(" batch=")[0]  # at tiny sizes there is one batch
    return partial(measured, suite, begin), partial(measured, suite, rehearsed, quick=True)


def measured(suite: str, begin: str, device: torch.device, quick: bool = False) -> list[dict[str, Any]]:
    """Reports of the cases, each one interleaved comparison. Failed if there is no such case."""
    settings, limits = BenchSettings(device, quick), limits_of(device, quick)
    reports = []
    for case in SUITES[suite].load()(settings):
        if case.name.startswith(begin):
            reports.append(asdict(measure_case(case, settings, limits, with_costs=False)))
            free(device)
    if not reports:
        raise Failed(f"the suite {suite} has no case whose name begins with {begin!r}")
    return reports


@lru_cache
def limits_of(device: torch.device, quick: bool) -> Limits:
    """Measured once a process."""
    return measure_limits(device, quick)


def step(batch: int) -> Part:
    """The training step by the paper's schedule."""
    what = f"the training step at batch {batch}: eager, graph, graph and fused loss"
    targets = step_targets if batch == 100 else None
    return Part(what, *cases("step", f"step alternating batch={batch} "), targets=targets)


def compiled_step(batch: int) -> Part:
    """The same step, and the plain script's compiled."""
    find, _ = cases("step", f"step-compiled alternating batch={batch} ")
    return Part(f"the training step at batch {batch}, against torch.compile", find, rehearsed_compiled_step)


def rehearsed_compiled_step(device: torch.device) -> list[dict[str, Any]]:
    """Dynamo traces what it would compile, and torch runs it: no compiler is needed."""
    case = compiled_case(Steps(SMALL, 10, "alternating", device), backend="eager")
    return [asdict(measure_case(case, BenchSettings(device, quick=True), limits_of(device, True)))]


PARTS: Mapping[str, Part] = {
    "accuracy": Part(
        "Parzen paths against float64 on real digits, N=2000, M=10000",
        accuracy,
        partial(accuracy, rows=30, samples=200, precisions=("auto", "fp32")),
    ),
    "accumulator": Part(
        "bias of fp16 dot products at D=784 and D=2304", accumulator, partial(accumulator, widths=(64,), rows=64)
    ),
    "tf32": Part("whether operands of tf32 products are truncated", tf32, tf32),
    "tests": Part("the kernels' tests on the GPU", kernel_tests, collected_tests),
    "tiles": Part("Parzen by tile, N=10,000, M=1,000,000, D=784", tile_choice, compiled_tiles),
    "step-100": step(100),
    "step-100-compiled": compiled_step(100),
    "limits": Part(
        "rates of bare products and of copying",
        lambda device: asdict(limits_of(device, False)),
        lambda device: asdict(limits_of(device, True)),
    ),
    "parzen-speed": Part(
        "N=10,000, M=10,000,000, D=784, fp16 and int8x2, 1, 10 and 20 bandwidths, two sizes of chunks",
        parzen_speed,
        partial(parzen_speed, rows=8, samples=60, chunks=(20, 10), precisions=("fp32",)),
        targets=parzen_targets,
    ),
    "training": Part(
        "two epochs on the digits: graphed, not graphed, and resumed", training, partial(training, width=8)
    ),
    "processes": Part(
        "two epochs on the digits by one process and by two, graphed and not; it needs two GPUs",
        processes,
        partial(processes, width=8),
    ),
    "loss": Part("the discriminator loss at 100, 1024, 8192", *cases("loss")),
    "step-1024": step(1024),
    "step-8192": step(8192),
    "parzen": Part("Parzen against other estimators, N=10,000, M=100,000", *cases("parzen")),
    "step-joint": Part("the training step, schedule joint, at 100, 1024, 8192", *cases("step", "step joint ")),
    "step-1024-compiled": compiled_step(1024),
    "step-8192-compiled": compiled_step(8192),
}


def outcome(part: Part, device: torch.device, dry: bool) -> dict[str, Any]:
    """Do a part and tell of it. The parts do not need each other: an exception ends this one alone."""
    result: dict[str, Any] = {}
    begun = time.monotonic()
    try:
        found = (part.rehearse if dry else part.find)(device)
        check_finite(found)
        result["found"] = found
        show(found)
        if part.targets is not None and not dry:
            result["targets"] = part.targets(result["found"])
            for target, met in result["targets"].items():
                say(f"    target {'met' if met else 'MISSED'}: {target}")
    except Exception as error:
        result["failed"] = f"{type(error).__name__}: {error}"
        say(f"    FAILED {result['failed']}")
    result["seconds"] = round(time.monotonic() - begun, 1)
    return result


def check_finite(found: Any) -> None:
    """Failed if a number is none: JSON has no word for it."""
    try:
        json.dumps(found, allow_nan=False)
    except ValueError as error:
        raise Failed(f"{error}: {found!r}") from error


def show(found: Any) -> None:
    """A line for each alternative of a case; anything else as it is."""
    if not isinstance(found, list):
        say("    " + json.dumps(found))
        return
    for case in found:
        for row in case["rows"]:
            ratio = "no ratio" if row["ratio"] is None else f"ratio {row['ratio']:.2f}"
            say(f"    {case['name']}: {row['alternative']}: {row['seconds'] * 1e3:.4g} ms, {ratio}")
        for name, why in case["failed"].items():
            say(f"    {case['name']}: {name} FAILED: {why}")


def free(device: torch.device) -> None:
    """Give back what the part before has used."""
    gc.collect()
    if device.type == "cuda":
        with suppress(RuntimeError):  # after an illegal access every call fails; what was found must not be lost
            torch.cuda.empty_cache()


def break_down(how: str) -> None:
    """End as a broken kernel would, by a signal, or not at all."""
    if how == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        signal.pause()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("parts", nargs="+", choices=list(PARTS), metavar="PART")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--group", required=True, help="its name, which --break may have")
    parser.add_argument("--dry", action="store_true")
    parser.add_argument("--break", dest="broken", default="")
    asked = parser.parse_args(arguments)
    if not asked.dry and not torch.cuda.is_available():
        say("torch finds no CUDA device here; without one there are --dry, and `aaeframe bench`")
        return NO_GPU
    device = CPU if asked.dry else torch.device("cuda", 0)
    torch.manual_seed(0)
    results: dict[str, Any] = {"machine": asdict(this_machine(device)), "parts": {}}
    broken, _, how = asked.broken.partition("=")
    for name in asked.parts:
        say(f"{name}: {PARTS[name].what}")
        if broken == asked.group and name == asked.parts[-1]:
            break_down(how)
        results["parts"][name] = outcome(PARTS[name], device, asked.dry)
        write(asked.out, results)
        free(device)
    return 0


if __name__ == "__main__":
    sys.exit(main())
