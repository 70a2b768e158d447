"""The choice of engines for x and for each chunk, with its reason."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias, get_args

import torch
from torch import Tensor

from aaeframe_kernels.dispatch import KernelUnavailable, choose, forced, refusal
from aaeframe_kernels.parzen import int8
from aaeframe_kernels.parzen import launch as gpu
from aaeframe_kernels.parzen.compiled import WORTH, compiler, outcome
from aaeframe_kernels.parzen.cpu import PortableEngine
from aaeframe_kernels.parzen.engine import Engine, Partial
from aaeframe_kernels.parzen.reference import ReferenceEngine
from aaeframe_kernels.parzen.rounding import OF_FLOATS

__all__ = ["PRECISIONS", "Engine", "Partial", "Precision", "describe", "prepare", "select"]

Precision: TypeAlias = Literal["auto", "fp16", "int8x2", "fp32", "float64"]
"""fp16 is available with the Triton kernels only; int8x2 is two 8-bit digits; auto is the fastest accurate enough."""

PRECISIONS: Final = get_args(Precision)


def prepare(
    x: Tensor, bandwidths: Tensor, precision: Precision = "auto", *, compiled: bool = False
) -> tuple[Engine, ...]:
    """The engines for rows x (N, D), uint8 if they are pixels; the first that accepts a chunk computes it.

    `compiled` lets the CPU's float32 engines compile their epilogue. ValueError for an unknown precision or one that
    does not fit x, KernelUnavailable for one that cannot run here.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision={precision!r} is unknown; there are: {', '.join(PRECISIONS)}")
    backend, reason = choose(x.device, "none of them computes in float64" if precision == "float64" else None)
    if backend == "reference":
        return (_reference(x, bandwidths, precision, reason),)
    if precision == "float64":
        return (PortableEngine(x, bandwidths, torch.float64),)
    if backend == "triton":
        return _triton(x, bandwidths, precision)
    if precision == "auto":
        return _automatic(x, bandwidths, compiled)
    if precision == "int8x2":
        return (_int8(x, bandwidths, compiled),)
    if precision == "fp32":
        return (PortableEngine(x, bandwidths, torch.float32, compiled=compiled),)
    raise KernelUnavailable(f"precision='fp16' is the Triton kernels', but {reason}; use auto, int8x2, fp32 or float64")


def select(engines: tuple[Engine, ...], chunk: Tensor, precision: Precision) -> Engine:
    """The first engine that accepts the chunk.

    ValueError if a forced precision does not support it, KernelUnavailable if no precision of the forced backend does.
    """
    for engine in engines:
        if engine.accepts(chunk):
            return engine
    if precision == "auto":
        raise refusal(f"float32 could move a row's log-likelihood by more than {OF_FLOATS} nats at these bandwidths")
    low, high = (float(end) for end in chunk.aminmax())
    raise ValueError(
        f"precision={precision!r} serves samples of uint8 or within [0, 1]; these are {chunk.dtype} from {low:.3g} to "
        f"{high:.3g}, and nothing is clipped. Use precision='auto', which uses fp32 for such chunks"
    )


def describe(device: torch.device | str = "cpu", *, attempt: bool = False) -> str:
    """The paths of the estimator on this device with their reasons, in one line, for a report on the installation.

    `attempt`: compile the CPU's epilogue now, which takes seconds, and report the result.
    """
    try:
        backend, reason = choose(torch.device(device))
    except KernelUnavailable as failure:
        return f"unavailable: {failure}"
    if backend != "cpu":
        return f"{backend}, because {reason}"
    finding = int8.find()
    fast = f"int8x2 for 8-bit data and fp32 for other data ({finding.reason})"
    slow = f"fp32 for all data ({finding.reason})"
    return f"cpu, because {reason}: {fast if finding.exact else slow}; {_compiler(attempt)}"


def _reference(x: Tensor, bandwidths: Tensor, precision: Precision, reason: str) -> Engine:
    if precision not in ("auto", "float64"):
        raise KernelUnavailable(
            f"precision={precision!r} was requested, but {reason}, and the reference computes in float64 only"
        )
    return ReferenceEngine(x, bandwidths)


def _triton(x: Tensor, bandwidths: Tensor, precision: Precision) -> tuple[Engine, ...]:
    if precision != "auto":
        return (gpu.prepare(x, bandwidths, precision),)
    fused = gpu.automatic(x, bandwidths)
    return fused if forced() else (*fused, PortableEngine(x, bandwidths, torch.float64))


def _automatic(x: Tensor, bandwidths: Tensor, compiled: bool) -> tuple[Engine, ...]:
    portable = _portable(x, bandwidths, compiled)
    narrow = x.dtype == torch.uint8 and x.shape[1] <= int8.WIDEST
    if not narrow or x.device.type != "cpu" or not int8.find().exact:
        return portable
    return (int8.Int8Engine(x, bandwidths, compiled=compiled, exacting=True), *portable)


def _portable(x: Tensor, bandwidths: Tensor, compiled: bool) -> tuple[Engine, ...]:
    single = PortableEngine(x, bandwidths, torch.float32, compiled=compiled, exacting=True)
    return (single, PortableEngine(x, bandwidths, torch.float64))


def _int8(x: Tensor, bandwidths: Tensor, compiled: bool) -> Engine:
    if x.dtype != torch.uint8:
        raise ValueError(
            f"precision='int8x2' serves x of uint8 pixels, or equal to k/255 in float32; found {x.dtype} off that "
            "grid; use precision='auto' or 'fp32'"
        )
    if x.shape[1] > int8.WIDEST:
        raise ValueError(f"precision='int8x2' serves up to {int8.WIDEST} features, x has {x.shape[1]}; use fp32")
    if x.device.type != "cpu":
        raise KernelUnavailable(f"precision='int8x2' without Triton runs on the CPU only; x is on {x.device}")
    finding = int8.find()
    if not finding.exact:
        raise KernelUnavailable(f"precision='int8x2' cannot run here: {finding.reason}; use precision='auto' or 'fp32'")
    return int8.Int8Engine(x, bandwidths, compiled=compiled, exacting=False)


def _compiler(attempt: bool) -> str:
    """Whether there is a C++ compiler, without running it; with `attempt`, whether the epilogue was compiled."""
    if attempt:
        return f"the epilogue is {outcome(torch.ones(1), transposed=True)}"
    found = compiler()
    if found is None:
        return "no C++ compiler was found, so the epilogue is plain torch"
    return f"the epilogue is compiled by {found} once pairs x bandwidths exceed {WORTH:.0e}"
