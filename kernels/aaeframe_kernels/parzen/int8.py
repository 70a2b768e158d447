"""The fast path: pixels and samples of two 8-bit digits, with the processor's 8-bit matrix product."""

from __future__ import annotations

import functools
from typing import Final, NamedTuple

import torch
from torch import Tensor

from aaeframe_kernels.dispatch import launches
from aaeframe_kernels.parzen import compiled as generated
from aaeframe_kernels.parzen.cpu import Epilogue, concatenate, row_blocks
from aaeframe_kernels.parzen.engine import Engine, Partial
from aaeframe_kernels.parzen.inputs import within_pixels
from aaeframe_kernels.parzen.rounding import UNITS, digits_suffice

SHIFT: Final = 128
"""The offset subtracted from pixels to make them int8."""

WIDEST: Final = 65536
"""The number of features up to which a sum of products of 255 and -128 fits 32 bits."""


class Finding(NamedTuple):
    """Whether the 8-bit product is available here, and the clause with the reason."""

    exact: bool
    reason: str


@functools.cache
def find() -> Finding:
    """Whether this machine has the 8-bit matrix product and computes it exactly; tested once per process."""
    supported = getattr(torch.cpu, "_is_vnni_supported", None)
    if supported is None or not supported():
        return Finding(False, "the processor has no 8-bit dot product (AVX512-VNNI) that torch knows of")
    try:
        exact = _is_exact()
    except (AttributeError, RuntimeError) as failure:
        return Finding(False, f"torch's 8-bit matrix product does not run here: {str(failure)[:200]}")
    if not exact:
        return Finding(False, "torch's 8-bit matrix product is not exact here")
    return Finding(True, "torch's 8-bit matrix product is here, and exact")


class Int8Engine(Engine):
    """Squared distances |x - s|^2 of pixels x/255 and samples rounded to s = (256 high + low) / 65280.

    The only other error is that of float32 sums. x.s = [(x - 128).(256 high + low) + 128 sum(256 high + low)] / (255 *
    65280): the products are of integers, and the second term is part of the samples' norms. x is packed once, in blocks
    of rows. uint8 samples need only the high digit.
    """

    name = "int8x2"

    def __init__(self, pixels: Tensor, bandwidths: Tensor, *, compiled: bool, exacting: bool) -> None:
        self._exacting, self._least, self._compiled = exacting, float(bandwidths.min()), compiled
        self.rates = 0.5 / bandwidths.double().square()
        self._blocks = [_Block(block, self.rates, compiled) for block in row_blocks(pixels)]

    def accepts(self, chunk: Tensor) -> bool:
        """Whether samples are uint8 or in [0, 1]; if exacting, also whether rounding changes results little enough."""
        return (not self._exacting or digits_suffice(chunk, self._least)) and within_pixels(chunk)

    def partial(self, chunk: Tensor) -> Partial:
        """Nearest distances and kernel sums of one chunk."""
        launches["cpu/parzen_int8x2"] += 1
        high, low, column = digits(chunk, compiled=self._compiled)
        return concatenate([block.epilogue(block.products(high, low), column) for block in self._blocks])


def digits(chunk: Tensor, *, compiled: bool) -> tuple[Tensor, Tensor | None, Tensor]:
    """Samples in [0, 1] as digits of q = round(65280 s) = 256 high + low, uint8 (C, D) each; no low digits for uint8.

    The third result (C,) is |s|^2 of the rounded samples, less the term 2 * 128/255 * sum(s) of the products.
    """
    if chunk.dtype == torch.uint8:
        units = chunk.double().mul_(256)
        return chunk, None, _norms(units)
    samples = chunk.float()
    found = generated.digits()(samples) if compiled and 1 not in samples.shape else None
    if found is not None:
        high, low, column = found
        return high, low, column
    units = (samples * UNITS).round_().to(torch.int32)
    return (units >> 8).to(torch.uint8), (units & 255).to(torch.uint8), _norms(units.double())


def _norms(units: Tensor) -> Tensor:
    """The norms of `digits` for q (C, D) in float64."""
    return (torch.linalg.vecdot(units, units) / UNITS**2 - units.sum(1) * (2 * SHIFT / (255 * UNITS))).float()


class _Block:
    """A block of rows of x, packed, with the data for its products."""

    def __init__(self, pixels: Tensor, rates: Tensor, compiled: bool) -> None:
        shifted = (pixels.to(torch.int16) - SHIFT).to(torch.int8)
        self._packed = torch.ops.onednn.qlinear_prepack(shifted, None)
        self._scales = torch.full((len(pixels),), 2 / (255 * UNITS), dtype=torch.float32)
        self._zeros = torch.zeros(len(pixels), dtype=torch.int32)
        norms = pixels.double().square().sum(1) / 255**2
        self.epilogue = Epilogue(norms.float(), rates, compiled=compiled)

    def products(self, high: Tensor, low: Tensor | None) -> Tensor:
        """The products 2 (x - 128/255).s, (N, C), transposed in memory."""
        out = multiply(high, 256.0, self._packed, self._scales, self._zeros)
        if low is not None:
            out = multiply(low, 1.0, self._packed, self._scales, self._zeros, add_to=out)
        return out.t()


def multiply(
    left: Tensor, scale: float, packed: Tensor, scales: Tensor, zeros: Tensor, add_to: Tensor | None = None
) -> Tensor:
    """The product scale * scales_n * (left @ right.t()) in float32, (C, N), added to `add_to` if given.

    left (C, D) uint8; packed: right (N, D) int8 by qlinear_prepack. The operators are those of quantized Linear.
    """
    operands = (left, scale, 0, packed, scales, zeros)
    if add_to is None:
        return torch.ops.onednn.qlinear_pointwise(*operands, None, 1.0, 0, torch.float32, "none", [], "")
    result = (1.0, 0, torch.float32)
    accumulate = (1.0, 0, "sum", 1.0)
    return torch.ops.onednn.qlinear_pointwise.binary(*operands, add_to, None, *result, *accumulate, "none", [], "")


def _is_exact() -> bool:
    """Whether products of random and extreme digits equal int64; narrow arithmetic would saturate on the extreme
    ones."""
    generator = torch.Generator().manual_seed(0)
    left = torch.randint(0, 256, (33, 200), dtype=torch.uint8, generator=generator)
    right = torch.randint(-128, 128, (47, 200), dtype=torch.int8, generator=generator)
    left[0], right[0], right[1] = 255, -128, 127
    packed = torch.ops.onednn.qlinear_prepack(right, None)
    ones, zeros = torch.ones(47, dtype=torch.float32), torch.zeros(47, dtype=torch.int32)
    expected = left.long() @ right.long().t()  # below 2^23: float32 holds it
    once = multiply(left, 1.0, packed, ones, zeros)
    equal = torch.equal(once.long(), expected)
    twice = multiply(left, 1.0, packed, ones, zeros, add_to=once)
    return equal and torch.equal(twice.long(), 2 * expected)
