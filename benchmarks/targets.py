"""Targets of speed, and whether a measurement meets them: python benchmarks/targets.py BENCH.json ...

Reads what `aaeframe bench --case step --out BENCH.json` writes. The targets of the step apply to the row "as train
takes it", which holds all that `aaeframe train` does at a step. Reports only: a missed target is exit code 0.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

STEP_SECONDS, STEP_SPEEDUP = 0.30e-3, 3.0
"""On an H200 at batch 100: seconds, and times faster than the plain script of the same precision, eager."""
CPU_SPEEDUP, CPU_BF16_SPEEDUP = 1.0, 1.5
"""On a CPU at batch 100: fp32 against the plain script in fp32; bf16 against our fp32, where the CPU has bf16."""
PARZEN_SECONDS, PARZEN_TO_PRODUCT = 0.30, 1.5
"""N = 10,000, M = 10 million, D = 784, one bandwidth, on an H200; and to the fp16 product of that shape."""
EXPONENTIALS = 132 * 16 * 1.98e9
"""Exponentials a second of an H200: multiprocessors, results of the special-function units a clock, clock rate.

The clock is its boost clock, 1.98 GHz. Each further bandwidth is one more exponential per pair."""


def step_targets(cases: Sequence[Mapping[str, Any]]) -> dict[str, bool]:
    """Whether the step, with the training loop, meets each target; the alternatives of the cases show the device."""
    found: dict[str, bool] = {}
    for case in cases:
        seconds = {row["alternative"]: row["seconds"] for row in case["rows"]}
        ours = {it: seconds.get(f"aaeframe {it}, with the training loop") for it in ("fp32", "tf32", "bf16")}
        plain = {it: seconds.get(f"plain script {it}") for it in ours}
        on_gpu = any(", graph" in name or "tf32" in name for name in seconds)
        found |= _on_gpu(ours, plain) if on_gpu else _on_cpu(ours, plain)
    return found


Seconds = Mapping[str, float | None]
"""Seconds by precision; None if not measured."""


def _on_gpu(ours: Seconds, plain: Seconds) -> dict[str, bool]:
    found: dict[str, bool] = {}
    for precision, seconds in ours.items():
        if seconds is not None:
            found[f"{precision}: {seconds * 1e3:.3f} ms, at most {STEP_SECONDS * 1e3:.2f}"] = seconds <= STEP_SECONDS
            found |= _faster(precision, seconds, f"the plain script, {precision}", plain[precision], STEP_SPEEDUP)
    return found


def _on_cpu(ours: Seconds, plain: Seconds) -> dict[str, bool]:
    found = _faster("fp32", ours["fp32"], "the plain script, fp32", plain["fp32"], CPU_SPEEDUP)
    return found | _faster("bf16", ours["bf16"], "ours in fp32", ours["fp32"], CPU_BF16_SPEEDUP)


def _faster(what: str, ours: float | None, rival: str, other: float | None, least: float) -> dict[str, bool]:
    if ours is None or other is None:
        return {}
    return {f"{what}: {other / ours:.2f} times as fast as {rival}, at least {least:g}": other / ours >= least}


def parzen_targets(found: Mapping[str, Any]) -> dict[str, bool]:
    """Whether each way of the estimate meets its targets; more bandwidths are allowed their exponentials."""
    met = {}
    for name, it in found.items():
        if isinstance(it, Mapping) and "bandwidths" in it:
            further = (it["bandwidths"] - 1) * it["pairs"] / EXPONENTIALS
            allowed = PARZEN_SECONDS + further
            met[f"{name}: {it['seconds']:.3f} s, at most {allowed:.2f}"] = it["seconds"] <= allowed
            ratio, at_most = it["seconds"] / it["product_seconds"], PARZEN_TO_PRODUCT + further / it["product_seconds"]
            met[f"{name}: {ratio:.2f} of the fp16 product, at most {at_most:.2f}"] = ratio <= at_most
    return met


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("files", nargs="+", type=Path, metavar="BENCH.json")
    for file in parser.parse_args(arguments).files:
        try:
            cases = [it for it in json.loads(file.read_text("utf-8"))["cases"] if " batch=100 " in it["name"]]
        except (OSError, ValueError, KeyError, TypeError) as error:
            print(f"error: {file} is not what `aaeframe bench --out` writes: {error!r}", file=sys.stderr)
            return 2
        for case in cases:
            for target, met in step_targets([case]).items():
                print(f"target {'met' if met else 'MISSED'}: {case['name']}: {target}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
