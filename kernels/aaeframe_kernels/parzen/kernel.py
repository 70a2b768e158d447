"""The Parzen sums in one pass over the samples: Triton kernels only. Derivation and precision: `kernels/README.md`.

`prepare_kernel` makes operands of rows: integers or small floats that tensor cores multiply, and the exact squared
norms of *these* operands. `partial_kernel` multiplies, and keeps for each row of x the smallest squared distance so far
and the kernel sums relative to it, over one split of the samples. `merge_kernel` adds all splits to the total. Operands
are padded with zeros, and samples with infinite norms, so there are no masks in the products.

    mode      an operand's value, in pixels           squared distance, in pixels^2
    fp16      fp16(pixel - center)                    |x|^2 + (|s|^2 - 2 x.s), in fp32
    int8x2    high + low / 256 = pixel - 128          (|x|^2 + floor |s|^2 - 2 x.high) + (rest of |s|^2 - x.low / 128)
    fp32      value, in the data's unit, centered     as fp16
"""

from __future__ import annotations

import triton
import triton.language as tl

FIXED = tl.constexpr(65280.0)
"""The number 255 * 256 of steps of a sixteen-bit sample between 0 and 1."""
MIDDLE = tl.constexpr(32768)
"""The offset 128 * 256 subtracted from samples, so that both digits are signed."""


@triton.jit
def prepare_kernel(
    values, columns, center, high, low, norms, rests, refused, count, largest,
    MODE: tl.constexpr, PIXELS: tl.constexpr, FAR: tl.constexpr, WIDTH: tl.constexpr, PADDED: tl.constexpr,
    DROPPED: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """Operands and norms of ROWS rows (count, WIDTH), padded to PADDED columns.

    fp32 values are already centered, possibly in float64. PIXELS: values are 0 to 255. FAR: rows from count on lie
    infinitely far away, not at zero. DROPPED: the places after PADDED, with columns in which x does not vary: squared
    distances to x there are part of the norm. 0: places are columns. If not, `columns` lists the column at each place,
    WIDTH for padding. center (WIDTH,) is subtracted, in units of the operands: x in the columns that are dropped; else
    anything whole in fp16, 128 in int8x2, 0 in fp32.

    refused (1,), if not None, becomes 1 for values outside [0, 1] or NaN where they are multiplied as pixels, in fp32
    for infinity and for squared norms above `largest`. NaN in fp32 is accepted.
    """
    selected: tl.constexpr = DROPPED > 0
    padding: tl.constexpr = float("inf") if FAR else 0.0
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    place = row.to(tl.int64)[:, None]
    total = tl.zeros([ROWS], tl.int64 if MODE == "int8x2" else tl.float64)
    bad = tl.zeros([ROWS], tl.int32)
    for first in range(0, PADDED + DROPPED, COLUMNS):
        column = first + tl.arange(0, COLUMNS)[None, :]
        out = place * PADDED + column
        if selected:
            column = tl.load(columns + column)
        mask = (row < count)[:, None] & (column < WIDTH)
        found = tl.load(values + place * WIDTH + column, mask=mask, other=0)
        if refused is not None and not PIXELS:
            good = tl.abs(found) != float("inf") if MODE == "fp32" else (found >= 0) & (found <= 1)
            bad = tl.maximum(bad, tl.max(tl.where(good, 0, 1), axis=1))
        value = found.to(tl.float32)
        if MODE == "fp16" or selected:
            level = tl.load(center + column, mask=column < WIDTH, other=0)
        if MODE == "int8x2":
            units = (value * 256 if PIXELS else tl.floor(value * FIXED + 0.5)).to(tl.int32)
            fixed = tl.where(mask, units - (level.to(tl.int32) * 256 if selected else MIDDLE), 0)
            if first < PADDED:
                digit = (fixed + 128) >> 8
                tl.store(high + out, digit.to(tl.int8))
                tl.store(low + out, (fixed - digit * 256).to(tl.int8))
            total += tl.sum(fixed.to(tl.int64) * fixed.to(tl.int64), axis=1)
        else:
            if MODE == "fp16" and not PIXELS:
                value *= 255
            value = tl.where(mask, value - level if MODE == "fp16" or selected else value, 0)
            operand = value.to(high.dtype.element_ty)
            if first < PADDED:
                tl.store(high + out, operand)
            exact = tl.where(first < PADDED, operand.to(tl.float32), value).to(tl.float64)
            total += tl.sum(exact * exact, axis=1)
    if refused is not None:
        if MODE == "fp32":
            bad = tl.maximum(bad, tl.where(total.to(tl.float32) > largest, 1, 0))
        if tl.max(bad, axis=0) > 0:
            tl.store(refused, 1)  # any program may write it, and all write the same
    if MODE == "int8x2":
        tl.store(norms + row, (total >> 16).to(tl.int32))
        tl.store(rests + row, tl.where(row < count, (total & 65535).to(tl.float32) / 65536, padding))
    else:
        tl.store(norms + row, tl.where(row < count, total.to(tl.float32), padding))


@triton.jit
def squared_distances(
    x, high, low, row, sample, x_norm, norm, rest, whole,
    MODE: tl.constexpr, PADDED: tl.constexpr, ROWS: tl.constexpr, SAMPLES: tl.constexpr, DEPTH: tl.constexpr,
    TAIL: tl.constexpr, DESCRIPTORS: tl.constexpr,
):  # fmt: skip
    """The distances |x_i - s_j|^2 of the tile from `row` and `sample` on, fp32, never negative; NaN stays NaN.

    DESCRIPTORS: x, high and low are tensor descriptors, by which the GPU copies a tile at once, and not pointers.
    `whole` is PADDED - TAIL at run time: a loop of known length would be unrolled and spill registers. TAIL is the
    depth of a last, smaller product; 0 without one, as it must be with descriptors.
    """
    products = tl.zeros([ROWS, SAMPLES], tl.int32 if MODE == "int8x2" else tl.float32)
    lower = tl.zeros([ROWS, SAMPLES], tl.int32)
    if not DESCRIPTORS:
        x += tl.cast(row, tl.int64) * PADDED
        high += tl.cast(sample, tl.int64) * PADDED
        low += tl.cast(sample, tl.int64) * PADDED
    depth = tl.arange(0, DEPTH)
    left = tl.arange(0, ROWS)[:, None] * PADDED + depth[None, :]
    right = tl.arange(0, SAMPLES)[None, :] * PADDED + depth[:, None]
    for first in range(0, whole, DEPTH):
        operand = x.load([row, first]) if DESCRIPTORS else tl.load(x + first + left)
        digits = tl.trans(high.load([sample, first])) if DESCRIPTORS else tl.load(high + first + right)
        if MODE == "int8x2":
            products = tl.dot(operand, digits, products, out_dtype=tl.int32)
            digits = tl.trans(low.load([sample, first])) if DESCRIPTORS else tl.load(low + first + right)
            lower = tl.dot(operand, digits, lower, out_dtype=tl.int32)
        else:
            products = tl.dot(operand, digits, products, input_precision="ieee")
    if TAIL > 0:
        tail = PADDED - TAIL + tl.arange(0, TAIL)
        operand = tl.load(x + tl.arange(0, ROWS)[:, None] * PADDED + tail[None, :])
        right = tl.arange(0, SAMPLES)[None, :] * PADDED + tail[:, None]
        if MODE == "int8x2":
            products = tl.dot(operand, tl.load(high + right), products, out_dtype=tl.int32)
            lower = tl.dot(operand, tl.load(low + right), lower, out_dtype=tl.int32)
        else:
            products = tl.dot(operand, tl.load(high + right), products, input_precision="ieee")
    if MODE == "int8x2":
        squared = (x_norm[:, None] + norm[None, :] - 2 * products).to(tl.float32)
        squared += rest[None, :] - lower.to(tl.float32) / 128
    else:
        squared = x_norm[:, None] + (norm[None, :] - 2 * products)
    return tl.where(squared < 0, 0, squared)


@triton.jit(do_not_specialize=["tiles", "share"])
def partial_kernel(
    x, x_norms, high, low, norms, rests, rates, nearest, sums, tiles, share, whole,
    MODE: tl.constexpr, PADDED: tl.constexpr, BANDWIDTHS: tl.constexpr, SLOTS: tl.constexpr, OCTAVE: tl.constexpr,
    ROWS: tl.constexpr, SAMPLES: tl.constexpr, DEPTH: tl.constexpr, TAIL: tl.constexpr, DESCRIPTORS: tl.constexpr,
):  # fmt: skip
    """The partial state of ROWS rows of x from one split: `share` of all `tiles` of SAMPLES samples, at least one.

    rates (BANDWIDTHS,): log2(e) / (2 h^2), per squared unit of the operands; each is twice the one OCTAVE places later,
    whose exponentials are squared for it. nearest (splits, rows), sums (splits,
    rows, BANDWIDTHS).
    """
    begin = tl.program_id(0) * ROWS
    row = begin + tl.arange(0, ROWS)
    x_norm = tl.load(x_norms + row)
    slot = tl.arange(0, SLOTS)[None, :]
    rate = tl.load(rates + slot, mask=slot < BANDWIDTHS, other=1)
    least = tl.full([ROWS], float("inf"), tl.float32)
    total = tl.zeros([ROWS, SLOTS], tl.float32)
    first = tl.program_id(1) * share
    for tile in range(first, tl.minimum(first + share, tiles)):
        sample = tile * SAMPLES + tl.arange(0, SAMPLES)
        norm = tl.load(norms + sample)
        rest = tl.load(rests + sample)
        squared = squared_distances(
            x, high, low, begin, tile * SAMPLES, x_norm, norm, rest, whole,
            MODE, PADDED, ROWS, SAMPLES, DEPTH, TAIL, DESCRIPTORS,
        )  # fmt: skip
        new = tl.minimum(least, tl.min(squared, axis=1))
        total *= tl.exp2((new - least)[:, None] * rate)
        for s in tl.static_range(BANDWIDTHS - OCTAVE, BANDWIDTHS):
            power = tl.exp2((new[:, None] - squared) * tl.load(rates + s))
            for doubled in tl.static_range(0, s + 1, OCTAVE):
                total += tl.where(slot == s - doubled, tl.sum(power, axis=1)[:, None], 0)
                power *= power  # below 1e-38 it becomes 0: the nearest sample alone adds 1
        least = new
    out = tl.program_id(1).to(tl.int64) * tl.num_programs(0) * ROWS + row
    tl.store(nearest + out, least)
    tl.store(sums + out[:, None] * BANDWIDTHS + slot, total, mask=slot < BANDWIDTHS)


@triton.jit(do_not_specialize=["count", "rows", "splits"])
def merge_kernel(
    nearest, sums, rates, old_nearest, old_sums, new_nearest, new_sums, count, rows, splits,
    SQUARE: tl.constexpr, BANDWIDTHS: tl.constexpr, ROWS: tl.constexpr, SPLITS: tl.constexpr,
):  # fmt: skip
    """The new total of ROWS of the `count` rows, for one bandwidth: the old one and all splits, in float64, in a fixed
    order.

    nearest (splits, rows), sums (splits, rows, BANDWIDTHS), fp32, of `partial_kernel`: SQUARE of its squared units are
    one of the data. The totals are (count,) and (count, BANDWIDTHS), rates (BANDWIDTHS,) are 1 / (2 h^2).
    """
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    slot = tl.program_id(1)
    mask = row < count
    some = tl.arange(0, SPLITS)[:, None]
    least = tl.full([ROWS], float("inf"), tl.float32)
    for first in range(0, splits, SPLITS):
        place = tl.cast(first + some, tl.int64) * rows + row[None, :]
        found = tl.load(nearest + place, mask=first + some < splits, other=float("inf"))
        least = tl.minimum(least, tl.min(found, axis=0))
    old = tl.load(old_nearest + row, mask=mask, other=0)
    new = tl.minimum(old, least.to(tl.float64) / SQUARE)
    rate = tl.load(rates + slot)
    out = row.to(tl.int64) * BANDWIDTHS + slot
    total = tl.load(old_sums + out, mask=mask, other=0) * tl.exp((new - old) * rate)
    for first in range(0, splits, SPLITS):
        inside = first + some < splits
        place = tl.cast(first + some, tl.int64) * rows + row[None, :]
        gap = tl.load(nearest + place, mask=inside, other=float("inf")).to(tl.float64) / SQUARE - new[None, :]
        part = tl.load(sums + place * BANDWIDTHS + slot, mask=inside, other=0).to(tl.float64)
        total += tl.sum(part * tl.exp(-gap * rate), axis=0)
    if slot == 0:
        tl.store(new_nearest + row, new, mask=mask)
    tl.store(new_sums + out, total, mask=mask)
