"""Everything that needs a GPU, in one go: python benchmarks/gpu.py [--out FILE] [--only PART ...] [--minutes 9] [--dry]

Compares the kernels' real paths with float64, answers what could so far only be emulated, measures kernels and step,
tells whether the project's targets are met, and runs the kernels' tests on the GPU; prints what it finds and writes
it as JSON after every part, so that nothing is lost. After --minutes it begins no further part and records which were
left out; the tests come last and get the time that is left until 50 seconds later, at most 4 minutes. Set AAEFRAME_DATA
to check the accuracy on MNIST's test digits; without it, on enlarged digits from scikit-learn. Exit code 1 if a part
failed, 2 without a GPU; a target that is missed is no failure.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from gpu_checks import accumulator, accuracy, kernel_tests, tf32, training
from gpu_targets import parzen_targets, step_targets
from gpu_timings import parzen_speed, tile_choice

from aaeframe.benchmarking import SUITES
from aaeframe.benchmarking.case import Settings
from aaeframe.benchmarking.limits import Limits, measure_limits
from aaeframe.benchmarking.measure import measure_case
from aaeframe.benchmarking.report import now, this_machine, write_json

MINUTES = 9.0
SPARE = 50.0
"""Seconds beyond --minutes that a part which can be cut short may take, so that the whole takes ten minutes."""


@dataclass(frozen=True)
class Part:
    """Something to find out."""

    what: str
    find: Callable[..., Any]
    """Takes the device and, where there is `longest`, the seconds it may take."""
    longest: float | None = None
    """The most seconds for what can be cut short; less if less is left."""
    targets: Callable[[Any], dict[str, bool]] | None = None
    """From what was found, whether each target is met."""


def cases(suite: str, begin: str = "", quick: bool = False) -> Callable[[torch.device], list[dict[str, Any]]]:
    """Those cases of `aaeframe bench --case SUITE` whose names begin so, one interleaved comparison each."""

    def find(device: torch.device) -> list[dict[str, Any]]:
        settings, limits = Settings(device, quick), limits_of(device, quick)
        reports = []
        for case in SUITES[suite].load()(settings):
            if case.name.startswith(begin):
                reports.append(measure_case(case, settings, limits))
                free(device)
        return [asdict(report) for report in reports]

    return find


@lru_cache
def limits_of(device: torch.device, quick: bool = False) -> Limits:
    """Measured once a run."""
    return measure_limits(device, quick)


def step(batch: int) -> Part:
    what = f"the paper's schedule at batch {batch}: eager, torch.compile, graph, graph and fused loss"
    targets = step_targets if batch == 100 else None
    return Part(what, cases("step", f"step alternating batch={batch} "), targets=targets)


PARTS: Mapping[str, Part] = {
    "limits": Part("rates of bare products and of copying", lambda device: asdict(limits_of(device))),
    "training": Part("two epochs on the digits: graphed, not graphed, and resumed", training),
    "accuracy": Part("Parzen paths against float64 on real digits, N=2000, M=10000", accuracy),
    "parzen-speed": Part(
        "N=10,000, M=10,000,000, D=784, fp16 and int8x2, 1, 10 and 20 bandwidths, two sizes of chunks",
        parzen_speed,
        targets=parzen_targets,
    ),
    "step-100": step(100),
    "step-1024": step(1024),
    "step-8192": step(8192),
    "tiles": Part("Parzen by tile, N=10,000, M=1,000,000, D=784", tile_choice),
    "loss": Part("the discriminator loss at 100, 1024, 8192", cases("loss")),
    "accumulator": Part("bias of fp16 dot products at D=784 and D=2304", accumulator),
    "tf32": Part("whether operands of tf32 products are truncated", tf32),
    "parzen": Part("Parzen against other estimators, N=10,000, M=100,000", cases("parzen")),
    "step-joint": Part("schedule joint at 100, 1024, 8192", cases("step", "step joint")),
    "tests": Part("the kernels' tests on the GPU, in the time that is left", kernel_tests, longest=240),
}
"""In the order of their worth, but for the tests, which take what time is left: `accuracy` checks the same paths."""


def run(names: list[str], device: torch.device, minutes: float, written: Callable[[dict[str, Any]], None]) -> bool:
    """Do the parts one after the other; whether none failed. `written` gets the whole state after each."""
    start = time.monotonic()
    found: dict[str, Any] = {}
    state = {
        "date": now(),
        "command": " ".join(["python", *sys.argv]),
        "machine": asdict(this_machine(device)),
        "parts": found,
        "left_out": list(names),
    }
    for name in names:
        begun = time.monotonic()
        if begun - start > 60 * minutes:
            say(f"{minutes:g} minutes are over; left out: {', '.join(state['left_out'])}")
            break
        say(f"{name}: {PARTS[name].what}")
        found[name] = outcome(PARTS[name], device, left=60 * minutes + SPARE - (begun - start))
        found[name]["seconds"] = round(time.monotonic() - begun, 1)
        state["left_out"] = [it for it in names if it not in found]
        written(state)
        free(device)
    return not any(failures(part) for part in found.values())


def outcome(part: Part, device: torch.device, left: float) -> dict[str, Any]:
    """Do a part and tell of it; `left` are the seconds that a part which can be cut short may take at most."""
    result: dict[str, Any] = {}
    limit = () if part.longest is None else (min(part.longest, left),)
    try:
        result["found"] = part.find(device, *limit)
        show(result["found"])
        if part.targets is not None:
            result["targets"] = part.targets(result["found"])
            for target, met in result["targets"].items():
                say(f"    target {'met' if met else 'MISSED'}: {target}")
    except Exception as error:  # the parts do not need each other, and the file tells
        result["failed"] = f"{type(error).__name__}: {error}"
        say(f"    FAILED {result['failed']}")
    return result


def failures(part: dict[str, Any]) -> list[str]:
    """What went wrong in a part: the part itself, or alternatives of its cases."""
    if "failed" in part:
        return [part["failed"]]
    cases = part["found"] if isinstance(part["found"], list) else []
    return [why for case in cases for why in case["failed"].values()]


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
        torch.cuda.empty_cache()


def say(line: str) -> None:
    print(line, flush=True)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("gpu.json"))
    parser.add_argument("--only", action="append", choices=list(PARTS), help="a part; may be repeated")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="after these no further part is begun")
    parser.add_argument("--dry", action="store_true", help="list the parts and do nothing")
    asked = parser.parse_args(arguments)
    names = [name for name in PARTS if asked.only is None or name in asked.only]
    if asked.dry:
        for name in names:
            say(f"{name}: {PARTS[name].what}")
        return 0
    if not torch.cuda.is_available():
        print("error: torch finds no CUDA device here; on one without a GPU there is `aaeframe bench`", file=sys.stderr)
        return 2
    with torch.random.fork_rng():
        torch.manual_seed(0)
        good = run(names, torch.device("cuda", 0), asked.minutes, lambda state: write_json(asked.out, state))
    say(f"written: {asked.out}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
