"""The discriminator loss in one pass over the features: Triton kernels only. Derivation: `kernels/README.md`.

    z = h . w + b,  loss = sum omega l(z, t),  delta = omega dl/dz,  dh = delta w,  dw = sum delta h,  db = sum delta

`head_kernel` reads a few whole rows at a time and keeps its sums. `merge_kernel` adds those of all programs in a fixed
order. A program's partial sums are SLOTS scalars, then dw. The scalars are loss, db, the accuracies of up to four
segments of rows, and then their mean logits.
"""

from __future__ import annotations

import triton
import triton.language as tl

SLOTS = tl.constexpr(16)
FIRST_ACCURACY = tl.constexpr(2)
FIRST_LOGIT = tl.constexpr(6)


@triton.jit
def logistic(z):
    """The values log(1 + exp(-|z|)) and sigmoid(z), without overflow; by a series where 1 + e would round to 1."""
    e = tl.exp(-tl.abs(z))
    series = e * (1 - e * (1 / 2 - e * (1 / 3 - e / 4)))
    return tl.where(e < 1e-2, series, tl.log(1 + e)), tl.where(z >= 0, 1 / (1 + e), e / (1 + e))


@triton.jit
def row_loss(z, t, KIND: tl.constexpr):
    """The loss l(z, t) and its slope dl/dz; NaN stays NaN."""
    if KIND == "bce":
        tail, probability = logistic(z)
        return tl.where(z <= 0, 0, z) - t * z + tail, probability - t
    elif KIND == "least-squares":
        return (z - t) * (z - t) / 2, z - t
    elif KIND == "hinge":
        return tl.where(t * z >= 1, 0, 1 - t * z), tl.where(t * z >= 1, 0, -t)
    else:
        return -t * z, -t


@triton.jit
def segment_of(row, rows, end_0, end_1, end_2):
    """The number and the size of each row's segment; segments end before end_0, end_1, end_2 and rows."""
    segment = tl.where(row < end_0, 0, tl.where(row < end_1, 1, tl.where(row < end_2, 2, 3)))
    size = tl.where(row < end_1, end_1 - end_0, tl.where(row < end_2, end_2 - end_1, rows - end_2))
    return segment, tl.maximum(tl.where(row < end_0, end_0, size), 1).to(tl.float32)


@triton.jit
def scalars(loss, delta, right, z, segment, size):
    """The contribution of each row (R,) to the slots: (R, SLOTS)."""
    slot = tl.arange(0, SLOTS)[None, :]
    found = tl.where(slot == 0, loss[:, None], tl.where(slot == 1, delta[:, None], 0))
    found += tl.where(slot == segment[:, None] + FIRST_ACCURACY, (right / size)[:, None], 0)
    return found + tl.where(slot == segment[:, None] + FIRST_LOGIT, (z / size)[:, None], 0)


@triton.jit(do_not_specialize=["rows", "end_0", "end_1", "end_2"])
def head_kernel(
    features, weight, bias, target, row_weight, of_features, partials, rows, end_0, end_1, end_2,
    KIND: tl.constexpr, RELU: tl.constexpr, LOGIT_BOUNDARY: tl.constexpr, TARGET_BOUNDARY: tl.constexpr,
    NEED_FEATURES: tl.constexpr, NEED_PARAMETERS: tl.constexpr,
    WIDTH: tl.constexpr, STRIDE: tl.constexpr, PITCH: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """Loss, gradients and statistics of every num_programs-th tile of ROWS rows.

    WIDTH and STRIDE are compile-time constants. A width such as 1000 is not a multiple of 16. The compiler knows
    nothing about a run-time argument, and would use no 128-bit accesses.
    """
    column = tl.arange(0, COLUMNS)
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
        blocked = h <= 0
        if RELU:
            h = tl.where(blocked, 0, h)
        t = tl.load(target + row, mask=inside, other=0).to(tl.float32)
        omega = tl.load(row_weight + row, mask=inside, other=0).to(tl.float32)
        z = tl.sum(h * w, axis=1) + b
        loss, slope = row_loss(z, t, KIND)
        delta = tl.where(inside, omega * slope, 0)
        right = ((z > LOGIT_BOUNDARY) == (t > TARGET_BOUNDARY)).to(tl.float32)
        segment, size = segment_of(row, rows, end_0, end_1, end_2)
        found = scalars(omega * loss, delta, right, z, segment, size)
        sums += tl.sum(tl.where(inside[:, None], found, 0), axis=0)
        if NEED_PARAMETERS:
            of_weight += tl.sum(delta[:, None] * h, axis=0)
        if NEED_FEATURES:
            of_h = delta[:, None] * w
            if RELU:
                of_h = tl.where(blocked, 0, of_h)
            tl.store(of_features + place * WIDTH + column[None, :], of_h, mask=mask)
    tl.store(partials + tl.program_id(0) * PITCH + tl.arange(0, SLOTS), sums)
    if NEED_PARAMETERS:
        tl.store(partials + tl.program_id(0) * PITCH + SLOTS + column, of_weight, mask=column < WIDTH)


@triton.jit(do_not_specialize=["programs"])
def merge_kernel(
    partials, loss, statistics, of_weight, of_bias, programs,
    COUNT: tl.constexpr, NEED_PARAMETERS: tl.constexpr, WIDTH: tl.constexpr, PITCH: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """The sum of COLUMNS columns of the partial sums over all programs; statistics is (2, COUNT) of segments."""
    column = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    filled = column < SLOTS + (WIDTH if NEED_PARAMETERS else 0)
    total = tl.zeros([COLUMNS], tl.float32)
    for first in range(0, programs, ROWS):
        program = first + tl.arange(0, ROWS)
        mask = (program < programs)[:, None] & filled[None, :]
        total += tl.sum(tl.load(partials + program[:, None] * PITCH + column[None, :], mask=mask, other=0), axis=0)
    accuracy, logit = column - FIRST_ACCURACY, column - FIRST_LOGIT
    tl.store(loss + column, total, mask=column == 0)
    tl.store(statistics + accuracy, total, mask=(accuracy >= 0) & (accuracy < COUNT))
    tl.store(statistics + COUNT + logit, total, mask=(logit >= 0) & (logit < COUNT))
    if NEED_PARAMETERS:
        tl.store(of_bias + column - 1, total, mask=column == 1)
        tl.store(of_weight + column - SLOTS, total, mask=filled & (column >= SLOTS))


@triton.jit(do_not_specialize=["count"])
def scale_kernel(
    of_features, of_weight, of_bias, upstream, count,
    NEED_FEATURES: tl.constexpr, NEED_PARAMETERS: tl.constexpr, WIDTH: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Multiply the gradients by the upstream gradient, in place; if that is 1, as usual, nothing is read or written."""
    factor = tl.load(upstream).to(tl.float32)
    place = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    if NEED_FEATURES:
        mask = place < tl.where(factor == 1, 0, count)
        tl.store(of_features + place, tl.load(of_features + place, mask=mask).to(tl.float32) * factor, mask=mask)
    if NEED_PARAMETERS:
        mask = place < tl.where(factor == 1, 0, WIDTH)
        tl.store(of_weight + place, tl.load(of_weight + place, mask=mask) * factor, mask=mask)
        mask = place < tl.where(factor == 1, 0, 1)
        tl.store(of_bias + place, tl.load(of_bias + place, mask=mask) * factor, mask=mask)
