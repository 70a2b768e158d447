"""Which engines serve an x, and which of them a chunk."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias, get_args

import torch
from torch import Tensor

from aaeframe_kernels.dispatch import KernelUnavailable, choose
from aaeframe_kernels.parzen.engine import Engine, Partial
from aaeframe_kernels.parzen.portable import PortableEngine
from aaeframe_kernels.parzen.reference import ReferenceEngine

__all__ = ["PRECISIONS", "Engine", "Partial", "Precision", "prepare", "samples_per_chunk", "select"]

Precision: TypeAlias = Literal["auto", "fp16", "int8x2", "fp32", "float64"]
PRECISIONS: Final = get_args(Precision)


def prepare(x: Tensor, bandwidths: Tensor, precision: Precision = "auto") -> tuple[Engine, ...]:
    """The engines for rows x (N, D), the fastest first."""
    if precision not in PRECISIONS:
        raise ValueError(f"precision={precision!r} is unknown; there are: {', '.join(PRECISIONS)}")
    path, reason = choose(x.device)
    if path == "reference":
        return (ReferenceEngine(x, bandwidths),)
    portable = PortableEngine(x, bandwidths, torch.float64 if precision == "float64" else torch.float32)
    if path == "triton":
        from aaeframe_kernels.parzen.gpu import prepare as prepare_on_gpu

        return (prepare_on_gpu(x, bandwidths, precision), portable)
    if precision in ("auto", "fp32", "float64"):
        return (portable,)
    raise KernelUnavailable(f"precision={precision!r} cannot serve here: {reason}")


def select(engines: tuple[Engine, ...], chunk: Tensor, precision: Precision) -> Engine:
    """The first engine that accepts the chunk."""
    for engine in engines:
        if engine.accepts(chunk):
            return engine
    raise ValueError(f"precision={precision!r} cannot serve these samples")


def samples_per_chunk(rows: int) -> int:
    """How many samples make a chunk for so many rows of x: a product of some 2 million numbers stays in cache."""
    return min(max(2**21 // rows, 1024), 8192)
