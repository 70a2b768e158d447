"""Parzen window log-likelihood: a Gaussian kernel density on samples, streamed, in nats."""

from __future__ import annotations

from aaeframe_kernels.parzen.state import ParzenState, parzen_log_likelihood

__all__ = ["ParzenState", "parzen_log_likelihood"]
