"""The discriminator loss in one pass over the features: Triton kernels only. See `kernels/README.md` for the derivation.

    z = h . w + b,   loss = sum omega l(z, t),   delta = omega dl/dz,   dh = delta w,   dw = sum delta h,   db = sum delta

A program reads a few rows at a time, whole, and keeps its sums; `merge` adds those of all programs in a fixed order.
A row of `partials` holds SLOTS scalars and then dw. The slots: loss, db, and accuracy and mean logit of each segment.
"""

from __future__ import annotations

import triton
import triton.language as tl

SLOTS = tl.constexpr(16)
SEGMENTS = tl.constexpr(4)


@triton.jit
def logistic_tail(z):
    """log(1 + exp(-|z|)) and sigmoid(z), without overflow; by series where 1 + e would lose e."""
    e = tl.exp(-tl.abs(z))
    series = e * (1 - e * (1 / 2 - e * (1 / 3 - e / 4)))
    return tl.where(e < 1e-2, series, tl.log(1 + e)), tl.where(z >= 0, 1 / (1 + e), e / (1 + e))


@triton.jit
def row_loss(z, t, KIND: tl.constexpr):
    """l(z, t) and dl/dz; NaN stays NaN."""
    if KIND == "bce":
        tail, probability = logistic_tail(z)
        return tl.where(z > 0, z, 0) - t * z + tail, probability - t
    elif KIND == "least-squares":
        return (z - t) * (z - t) / 2, z - t
    elif KIND == "hinge":
        return tl.where(t * z >= 1, 0, 1 - t * z), tl.where(t * z < 1, -t, 0)
    else:
        return -t * z, -t


@triton.jit(do_not_specialize=["rows", "end_0", "end_1", "end_2"])
def head_kernel(
    features, weight, bias, target, row_weight, of_features, partials, rows, end_0, end_1, end_2,
    KIND: tl.constexpr, RELU: tl.constexpr, LOGIT_BOUNDARY: tl.constexpr, TARGET_BOUNDARY: tl.constexpr,
    WIDTH: tl.constexpr, STRIDE: tl.constexpr, NEED_FEATURES: tl.constexpr, NEED_PARAMETERS: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """Loss, gradients and statistics of every num_programs-th tile of ROWS rows; segments end before end_0, 1, 2, rows.

    WIDTH and STRIDE are compile-time: a width such as 1000 is no multiple of 16, and the launcher would tell the
    compiler nothing about it, which costs every 128-bit access.
    """
    column = tl.arange(0, COLUMNS)
    slot = tl.arange(0, SLOTS)[None, :]
    w = tl.load(weight + column, mask=column < WIDTH, other=0).to(tl.float32)[None, :]
    b = tl.load(bias).to(tl.float32)
    sums = tl.zeros([SLOTS], tl.float32)
    of_weight = tl.zeros([COLUMNS], tl.float32)
    for tile in range(tl.program_id(0), tl.cdiv(rows, ROWS), tl.num_programs(0)):
        row = tile * ROWS + tl.arange(0, ROWS)
        inside = row < rows
        place = row.to(tl.int64)[:, None]
        mask = inside[:, None] & (column < WIDTH)[None, :]
        h = tl.load(features + place * STRIDE + column[None, :], mask=mask, other=0).to(tl.float32)
        passes = h > 0
        if RELU:
            h = tl.where(h <= 0, 0, h)
        t = tl.load(target + row, mask=inside, other=0).to(tl.float32)
        omega = tl.load(row_weight + row, mask=inside, other=0).to(tl.float32)
        z = tl.sum(h * w, axis=1) + b
        loss, slope = row_loss(z, t, KIND)
        delta = tl.where(inside, omega * slope, 0)
        right = ((z > LOGIT_BOUNDARY) == (t > TARGET_BOUNDARY)).to(tl.float32)
        segment = (row >= end_0).to(tl.int32) + (row >= end_1).to(tl.int32) + (row >= end_2).to(tl.int32)
        first = tl.where(row >= end_2, end_2, tl.where(row >= end_1, end_1, tl.where(row >= end_0, end_0, 0)))
        last = tl.where(row < end_0, end_0, tl.where(row < end_1, end_1, tl.where(row < end_2, end_2, rows)))
        size = tl.maximum(last - first, 1).to(tl.float32)
        found = tl.where(slot == 0, (omega * loss)[:, None], tl.where(slot == 1, delta[:, None], 0))
        found += tl.where(slot == 2 + segment[:, None], (right / size)[:, None], 0)
        found += tl.where(slot == 2 + SEGMENTS + segment[:, None], (z / size)[:, None], 0)
        sums += tl.sum(tl.where(inside[:, None], found, 0), axis=0)
        if NEED_PARAMETERS:
            of_weight += tl.sum(delta[:, None] * h, axis=0)
        if NEED_FEATURES:
            slope_h = delta[:, None] * w
            if RELU:
                slope_h = tl.where(passes, slope_h, 0)
            tl.store(of_features + place * WIDTH + column[None, :], slope_h, mask=mask)
    out = partials + tl.program_id(0) * (SLOTS + (COLUMNS if NEED_PARAMETERS else 0))
    tl.store(out + tl.arange(0, SLOTS), sums)
    if NEED_PARAMETERS:
        tl.store(out + SLOTS + column, of_weight, mask=column < WIDTH)
