"""A training step of the paper's networks, and the same step elsewhere."""

from __future__ import annotations

SUITE = "step"


def bench_step(timed):
    timed()
