"""A product in tf32 as Triton emits it, to see what happens to the 13 bits that tf32 leaves out."""

from __future__ import annotations

import torch
import triton
import triton.language as tl


@triton.jit
def product(a, b, out):
    """out = a @ b, each 16 x 16 float32 by rows, in tf32."""
    row = tl.arange(0, 16)[:, None] * 16
    column = tl.arange(0, 16)[None, :]
    result = tl.dot(tl.load(a + row + column), tl.load(b + row + column), input_precision="tf32")
    tl.store(out + row + column, result)


def through_triton(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """(16, 16), (16, 16) -> (16, 16), float32 on a GPU."""
    out = torch.empty_like(a)
    product[(1,)](a, b, out)
    return out
