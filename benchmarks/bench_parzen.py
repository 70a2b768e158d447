"""The Parzen log-likelihood against a matrix product of the same shape and against other estimators."""

from __future__ import annotations

SUITE = "parzen"


def bench_parzen(timed):
    timed()
