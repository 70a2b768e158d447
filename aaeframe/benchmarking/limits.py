"""The limits of this machine: the rates of bare matrix products and of copying memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from aaeframe.benchmarking.case import Work
from aaeframe.benchmarking.timing import synchronizer

RUNS: Final = 7
"""The number of runs of each probe; the fastest counts, because disturbances only add time."""
LONGEST: Final = 2.0
"""A larger product is not tried if a run, of eight, would take more seconds: without instructions, a minute."""
UNAVAILABLE: Final = (RuntimeError, NotImplementedError, AttributeError, TypeError)
"""The errors that torch raises for a product that this machine, or this build, cannot compute."""


@dataclass(frozen=True)
class Limits:
    """The best rates found."""

    gemm: Mapping[str, float]
    """The operations per second of the fastest matrix product, by arithmetic; unavailable arithmetic is left out."""
    by: Mapping[str, str]
    """The name of that product, by arithmetic."""
    absent: Mapping[str, str]
    """The reason for each arithmetic that is left out."""
    copy: float
    """The bytes per second read and written while copying memory."""

    def floor(self, work: Work) -> float | None:
        """The least time in seconds for the work here, by its arithmetic or its traffic, whichever takes longer."""
        rate = self.gemm.get(work.arithmetic)
        return None if rate is None else max(work.flops / rate, work.traffic / self.copy)


def measure_limits(device: torch.device, quick: bool = False) -> Limits:
    """Measure the limits of a device. `quick` uses products too small to reach them."""
    sizes = [128] if quick else [512, 2048, 8192] if device.type == "cuda" else [512, 2048]
    gemm: dict[str, float] = {}
    by: dict[str, str] = {}
    absent: dict[str, str] = {}
    for arithmetic, products in _products(device).items():
        rates: dict[str, float] = {}
        for name, prepare in products.items():
            try:
                rates[name] = _rate(prepare, sizes, device)
            except UNAVAILABLE as error:
                absent[arithmetic] = f"{name}: {str(error).partition(chr(10))[0]}"
        if rates:
            by[arithmetic] = max(rates, key=lambda name: rates[name])
            gemm[arithmetic] = rates[by[arithmetic]]
    return Limits(gemm, by, {k: v for k, v in absent.items() if k not in gemm}, _copy_rate(device, quick))


def _rate(prepare: Callable[[int], Callable[[], Any]], sizes: Sequence[int], device: torch.device) -> float:
    """The best operations per second of a product, of growing sizes as long as they are quick."""
    best = 0.0
    for size in sizes:
        if best and 2 * size**3 / best > LONGEST:
            break
        try:
            best = max(best, 2 * size**3 / _fastest(prepare(size), device))
        except UNAVAILABLE:  # too large for the memory, if a smaller one was there
            if not best:
                raise
            break
    return best


def _fastest(call: Callable[[], Any], device: torch.device) -> float:
    wait = synchronizer(device)
    call()
    seconds = []
    for _ in range(RUNS):
        wait()
        start = time.perf_counter()
        call()
        wait()
        seconds.append(time.perf_counter() - start)
    return max(min(seconds), 1e-9)


def _copy_rate(device: torch.device, quick: bool) -> float:
    count = 2**18 if quick else 2**28  # the latter is far larger than any cache
    source = torch.ones(count, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * count / _fastest(lambda: target.copy_(source), device)


def _products(device: torch.device) -> dict[str, dict[str, Callable[[int], Callable[[], Any]]]]:
    """Functions that prepare a product of two size x size matrices, by arithmetic and name."""

    def mm(dtype: torch.dtype) -> Callable[[int], Callable[[], Any]]:
        def prepare(size: int) -> Callable[[], Any]:
            a, b = _matrices(size, device, dtype)
            out = torch.empty_like(a)
            return lambda: torch.mm(a, b, out=out)

        return prepare

    found: dict[str, dict[str, Callable[[int], Callable[[], Any]]]] = {
        "fp32": {"torch.mm": mm(torch.float32)},
        "bf16": {"torch.mm": mm(torch.bfloat16)},
        "fp16": {"torch.mm": mm(torch.float16)},
        "int8": {"torch._int_mm": lambda size: _int_mm(size, device)},
    }
    if device.type == "cuda":
        found["tf32"] = {"torch.mm": lambda size: _tf32_mm(size, device)}
        return found
    del found["fp16"]  # none of our code computes in fp16 on a CPU
    found["fp32"]["numpy.matmul"] = _numpy_mm
    found["bf16"]["torch.mm, transposed"] = _transposed_bf16_mm
    found["int8"]["onednn.qlinear"] = _onednn_int8
    return found


def _matrices(size: int, device: torch.device, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """Two of equal small integers, drawn on the device: a GPU's are large."""
    generator = torch.Generator(device).manual_seed(0)
    drawn = torch.randint(-8, 8, (size, size), generator=generator, device=device).to(dtype)
    return drawn, drawn.clone()


def _numpy_mm(size: int) -> Callable[[], Any]:
    a, b = (it.numpy() for it in _matrices(size, torch.device("cpu")))
    out = np.empty_like(a)
    return lambda: np.matmul(a, b, out=out)


def _transposed_bf16_mm(size: int) -> Callable[[], Any]:
    """With a matrix that lies transposed, as a layer's weights do: ten times as fast where bf16 is emulated."""
    a, b = _matrices(size, torch.device("cpu"), torch.bfloat16)
    return lambda: torch.mm(a, b.t())


def _int_mm(size: int, device: torch.device) -> Callable[[], Any]:
    a, b = _matrices(size, device, torch.int8)
    return lambda: torch._int_mm(a, b.t())


def _tf32_mm(size: int, device: torch.device) -> Callable[[], Any]:
    a, b = _matrices(size, device)

    def product() -> Tensor:
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("high")
        try:
            return torch.mm(a, b)
        finally:
            torch.set_float32_matmul_precision(before)

    return product


def _onednn_int8(size: int) -> Callable[[], Any]:
    """The product of unsigned and signed bytes, as in quantized layers; the weights are packed beforehand."""
    ones, zeros = torch.ones(size), torch.zeros(size, dtype=torch.int64)
    weight, _ = _matrices(size, torch.device("cpu"), torch.int8)
    packed = torch.ops.onednn.qlinear_prepack(weight, [size, size])
    x = torch.randint(0, 255, (size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    return lambda: torch.ops.onednn.qlinear_pointwise(
        x, 1.0, 0, packed, ones, zeros, None, 1.0, 0, torch.float32, "none", [], ""
    )
