"""What the project set out to reach on an H200, and whether a measurement does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

STEP_SECONDS, STEP_SPEEDUP = 0.30e-3, 3.0
PARZEN_SECONDS, PARZEN_TO_PRODUCT = 0.30, 1.5


def step_targets(cases: Sequence[Mapping[str, Any]]) -> dict[str, bool]:
    """At most 0.30 ms for our step, and 3 times faster than the plain script, eager, of the same precision."""
    found = {}
    for case in cases:
        seconds = {row["alternative"]: row["seconds"] for row in case["rows"]}
        for precision in ("fp32", "tf32", "bf16"):
            ours, eager = seconds.get(f"aaeframe {precision}"), seconds.get(f"plain script {precision}")
            if ours is not None:
                found[f"{precision}: {ours * 1e3:.3f} ms, at most {STEP_SECONDS * 1e3:.2f}"] = ours <= STEP_SECONDS
            if ours is not None and eager is not None:
                speedup = eager / ours
                found[f"{precision}: {speedup:.2f} times faster than eager, at least {STEP_SPEEDUP:g}"] = (
                    speedup >= STEP_SPEEDUP
                )
    return found


def parzen_targets(found: Mapping[str, Any]) -> dict[str, bool]:
    """At most 0.30 s, and at most 1.5 times cuBLAS' fp16 product of the same shape, for each way it was measured."""
    told = {}
    for name, it in found.items():
        if isinstance(it, Mapping) and "to_product" in it:
            seconds, ratio = it["seconds"], it["to_product"]
            told[f"{name}: {seconds:.3f} s, at most {PARZEN_SECONDS:.2f}"] = seconds <= PARZEN_SECONDS
            told[f"{name}: {ratio:.2f} of the fp16 product, at most {PARZEN_TO_PRODUCT:g}"] = ratio <= PARZEN_TO_PRODUCT
    return told
