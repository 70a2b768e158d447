"""The host side of the Triton kernels: choice of precision and tile, memory, launches, and the merge of the splits."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor
from torch.nn.functional import pad

from aaeframe_kernels.dispatch import launches
from aaeframe_kernels.parzen.compiled import octaves
from aaeframe_kernels.parzen.engine import Engine, Partial, neutral
from aaeframe_kernels.parzen.inputs import within_pixels
from aaeframe_kernels.parzen.rounding import Centered, digits_suffice, sums_suffice

Mode: TypeAlias = Literal["fp16", "int8x2", "fp32"]

PROGRAMS: Final = 1056
"""The intended number of programs of a launch on any GPU: four for each of 264, two on each of 132 processors."""
WIDEST_INT8X2: Final = 32767
"""The number of features up to which the int8x2 sums of products and norms fit 32 bits."""


class Tile(NamedTuple):
    """The rows of x, samples, and features that a program holds at once; its warps and pipeline stages; its options."""

    rows: int
    samples: int
    depth: int
    warps: int
    stages: int
    tail: int = 0
    """The least depth of a last, smaller product, a power of two; 0: the last product has the full depth too."""
    descriptors: bool = False
    """Whether the GPU copies tiles by tensor descriptors (NVIDIA from compute capability 9.0 on); not with a tail."""

    def widths(self, columns: int) -> tuple[int, int]:
        """The padded number of columns of an operand, and the depth of its last, smaller product or 0."""
        rest = columns % self.depth
        last = max(self.tail, 1 << (rest - 1).bit_length()) if self.tail and rest else self.depth
        return (columns - rest + last, last) if last < self.depth else (_multiple(columns, self.depth), 0)


CANDIDATES: Final[Mapping[Mode, tuple[Tile, ...]]] = {
    "fp16": (
        Tile(128, 128, 64, 4, 3),
        Tile(128, 128, 64, 4, 3, tail=16),
        Tile(128, 128, 64, 4, 3, descriptors=True),
        Tile(128, 256, 64, 8, 3),
        Tile(128, 256, 64, 8, 4, descriptors=True),
    ),
    "int8x2": (
        Tile(128, 64, 128, 8, 3),
        Tile(128, 64, 128, 8, 3, tail=32),
        Tile(128, 64, 128, 8, 3, descriptors=True),
    ),
}
"""The tiles that compile without spilling for compute capability 9.0, to be timed there; the first is used until then.

Of the first ones two programs fit a processor, so that exponentials of one overlap products of the other.
"""
TILES: Final[dict[Mode, Tile]] = {
    "fp16": CANDIDATES["fp16"][0],
    "int8x2": CANDIDATES["int8x2"][0],
    "fp32": Tile(128, 64, 32, 8, 3),
}


def tile_for(mode: Mode, bandwidths: int) -> Tile:
    """The tile for a number of bandwidths: additional sums need registers, and a fp16 program of 4 warps has none to
    spare."""
    return TILES[mode] if bandwidths == 1 else TILES[mode]._replace(warps=8)


class Operand(NamedTuple):
    """Rows as the kernel multiplies them, padded with zeros to whole tiles; padded samples are infinitely far away."""

    high: Tensor
    """(rows, features) of fp16, fp32, or the high digits, int8."""
    low: Tensor
    """The low digits, int8; `high` again in the other modes."""
    norms: Tensor
    """(rows,) squared norms, fp32; in int8x2 their integer part, int32."""
    rests: Tensor
    """(rows,) the fractional part of the norms, fp32; `norms` again in the other modes."""


def prepare(x: Tensor, bandwidths: Tensor, mode: str) -> TritonEngine:
    """The engine of one precision for rows x (N, D), uint8 or floating point, and bandwidths (S,).

    fp16 and int8x2 multiply pixels, so x must be uint8, and samples in [0, 1]. ValueError if x does not fit.
    """
    if mode not in TILES:
        raise ValueError(f"precision={mode!r} has no Triton kernel; there are: {', '.join(TILES)}")
    if mode != "fp32" and x.dtype != torch.uint8:
        raise ValueError(f"precision={mode!r} multiplies pixels, but x is not a multiple of 1/255; use fp32 or auto")
    if mode == "int8x2" and x.shape[1] > WIDEST_INT8X2:
        raise ValueError(f"int8x2 serves up to {WIDEST_INT8X2} features, x has {x.shape[1]}; use fp32 or auto")
    return TritonEngine(x, bandwidths, mode)


def automatic(x: Tensor, bandwidths: Tensor) -> tuple[TritonEngine, ...]:
    """The engines for x, fastest first; each refuses chunks for which it is not accurate enough."""
    modes: dict[Mode, None] = {choose_mode(x, float(bandwidths.min())): None, "fp32": None}
    return tuple(TritonEngine(x, bandwidths, mode, exacting=True) for mode in modes)


def choose_mode(x: Tensor, bandwidth: float) -> Mode:
    """The mode for x: fp16 for pixels, or int8x2 if its rounding error would be too large; fp32 for other data."""
    if x.dtype != torch.uint8:
        return "fp32"
    coarse = bandwidth < 0.07 or (x.shape[1] > 1024 and bandwidth < 0.15)
    if not coarse:
        return "fp16"
    return "int8x2" if x.shape[1] <= WIDEST_INT8X2 else "fp32"


class TritonEngine(Engine):
    """Partial states by the Triton kernels, in one precision.

    An exacting engine refuses chunks for which rounding errors may be too large, see `rounding`.
    """

    def __init__(self, x: Tensor, bandwidths: Tensor, mode: Mode, *, exacting: bool = False) -> None:
        self.name = mode
        self._exacting, self._least = exacting, float(bandwidths.min())
        self.tile = tile_for(mode, len(bandwidths))
        self._rows, self._width = x.shape
        self.unit = 1.0 if mode == "fp32" else 1 / 255
        rates = 0.5 / bandwidths.double().square()
        self.rates, self.octave = rates.to(x.device), octaves(rates)
        self._single_rates = (self.rates * (self.unit**2 / math.log(2))).float()
        self._data, self._centered = x, Centered(x, bandwidths)
        self.kept, self.dropped = _columns(x, self.tile)
        self._padded, self._tail = self.tile.widths(len(self.kept))

    @functools.cached_property
    def _x(self) -> Operand:
        """The rows x as the kernels multiply them; made on first use."""
        return self.operand(self._data, self.tile.rows, far=False)

    @functools.cached_property
    def _center(self) -> Tensor:
        """The center that is subtracted, (D,) fp32: x itself in the dropped columns, where all its rows are the same.

        In fp16 it is the rounded mean of x, so that products stay small.
        """
        if self.name == "fp16":
            return (self._data.sum(0, dtype=torch.float64) / len(self._data)).round().float()
        center = torch.full((self._width,), 128.0 if self.name == "int8x2" else 0.0, device=self._data.device)
        center[self.dropped] = self._values(self._data[:1])[0, self.dropped].float()
        return center

    @functools.cached_property
    def _places(self) -> Tensor:
        """The column at each place of an operand, then the dropped ones, both padded with D; int32."""
        widths = self._padded, _multiple(len(self.dropped), self.tile.depth)
        pairs = zip((self.kept, self.dropped), widths, strict=True)
        return torch.cat([pad(it, (0, width - len(it)), value=self._width) for it, width in pairs]).int()

    def _values(self, rows: Tensor) -> Tensor:
        """The rows that `prepare_kernel` reads: centered in fp32."""
        return (self._centered.rows(rows, torch.float32) if self.name == "fp32" else rows).contiguous()

    @functools.cached_property
    def _largest(self) -> float:
        """The largest squared norm of a sample, in fp32, for which an exacting engine is accurate enough."""
        return self._centered.largest if self._exacting and self.name == "fp32" else math.inf

    def accepts(self, chunk: Tensor) -> bool:
        """Whether the chunk is supported: any in fp32, otherwise values within [0, 1]; if exacting, also accurate
        enough."""
        if self.name != "fp32":
            return self.defers(chunk) and within_pixels(chunk)
        return not self._exacting or self._centered.suffices(chunk)

    def defers(self, chunk: Tensor) -> bool:
        """Whether nothing that the host knows speaks against the chunk: its type and width, and the bandwidths."""
        if not self._exacting or self.name == "fp32":
            return True
        if self.name == "int8x2":
            return digits_suffice(chunk, self._least)
        return sums_suffice(self._width, self._least)  # choose_mode has checked the rest

    def partial(self, chunk: Tensor) -> Partial:
        """Nearest distances and kernel sums of one chunk (C, D)."""
        return self.add(neutral(self._rows, len(self.rates), chunk.device), chunk)

    def add(self, total: Partial, chunk: Tensor, refused: Tensor | None = None) -> Partial:
        """The total with the contribution of a chunk (C, D), by three launches and without waiting for any of them."""
        launches[f"triton/parzen_{self.name}"] += 1
        samples = self.operand(chunk, self.tile.samples, far=True, refused=refused)
        return self._merge(total, *self._launch(samples))

    def operand(self, rows: Tensor, multiple: int, far: bool, refused: Tensor | None = None) -> Operand:
        """Rows (n, D) as an operand padded to a multiple of `multiple` rows; with `far`, padded rows are infinitely
        far. `refused` as in `add`."""
        from aaeframe_kernels.parzen.kernel import prepare_kernel

        values = self._values(rows)
        shape = (_multiple(len(rows), multiple), self._padded)
        found = self._allocate(shape, values.device)
        with _on(values.device):
            prepare_kernel[(shape[0] // min(multiple, 32),)](
                values, self._places, self._center, *found, refused, len(rows), self._largest,
                MODE=self.name, PIXELS=values.dtype == torch.uint8, FAR=far, WIDTH=self._width, PADDED=shape[1],
                DROPPED=len(self._places) - shape[1], ROWS=min(multiple, 32),
                COLUMNS=self._tail or min(self.tile.depth, 64), num_warps=4, enable_fp_fusion=False,
            )  # fmt: skip
        return found

    def _allocate(self, shape: tuple[int, int], device: torch.device) -> Operand:
        dtype = {"fp16": torch.float16, "int8x2": torch.int8, "fp32": torch.float32}[self.name]
        high = torch.empty(shape, dtype=dtype, device=device)
        if self.name != "int8x2":
            norms = torch.empty(shape[0], dtype=torch.float32, device=device)
            return Operand(high, high, norms, norms)
        norms = torch.empty(shape[0], dtype=torch.int32, device=device)
        rests = torch.empty(shape[0], dtype=torch.float32, device=device)
        return Operand(high, torch.empty_like(high), norms, rests)

    def _launch(self, samples: Operand) -> tuple[Tensor, Tensor]:
        """Nearest (splits, rows) and sums (splits, rows, S) of x against prepared samples, in fp32."""
        from aaeframe_kernels.parzen.kernel import partial_kernel

        tile, device = self.tile, samples.high.device
        rows, padded = self._x.high.shape
        tiles = len(samples.high) // tile.samples
        share = -(-tiles // max(1, PROGRAMS * tile.rows // rows))
        splits = -(-tiles // share)
        bandwidths = len(self.rates)
        nearest = torch.empty(splits, rows, dtype=torch.float32, device=device)
        sums = torch.empty(splits, rows, bandwidths, dtype=torch.float32, device=device)
        with _on(device):
            partial_kernel[(rows // tile.rows, splits)](
                self._tiled(self._x.high, tile.rows), self._x.norms,
                *(self._tiled(it, tile.samples) for it in (samples.high, samples.low)), samples.norms, samples.rests,
                self._single_rates, nearest, sums, tiles, share, padded - self._tail,
                MODE=self.name, PADDED=padded,
                BANDWIDTHS=bandwidths, SLOTS=1 << (bandwidths - 1).bit_length(), OCTAVE=self.octave,
                ROWS=tile.rows, SAMPLES=tile.samples, DEPTH=tile.depth, TAIL=self._tail,
                DESCRIPTORS=tile.descriptors,
                num_warps=tile.warps, num_stages=tile.stages, enable_fp_fusion=True,
            )  # fmt: skip
        return nearest, sums

    def _tiled(self, operand: Tensor, rows: int) -> Any:
        """An operand as the kernel reads its tiles of so many rows: as it is, or with a descriptor."""
        if not self.tile.descriptors:
            return operand
        from triton.tools.tensor_descriptor import TensorDescriptor

        return TensorDescriptor.from_tensor(operand, [rows, self.tile.depth])

    def _merge(self, total: Partial, nearest: Tensor, sums: Tensor) -> Partial:
        """The total (N rows) with the partial states of all splits, (splits, rows) and (splits, rows, S)."""
        from aaeframe_kernels.parzen.kernel import merge_kernel

        found = Partial(torch.empty_like(total.nearest), torch.empty_like(total.sums))
        splits, rows, bandwidths = sums.shape
        with _on(sums.device):
            merge_kernel[(-(-self._rows // 16), bandwidths)](
                nearest, sums, self.rates, *total, *found, self._rows, rows, splits,
                SQUARE=1.0 if self.name == "fp32" else 65025.0, BANDWIDTHS=bandwidths, ROWS=16, SPLITS=32,
                num_warps=4, enable_fp_fusion=False,
            )  # fmt: skip
        return found


def _columns(x: Tensor, tile: Tile) -> tuple[Tensor, Tensor]:
    """The columns of x (N, D) that are multiplied, and those in which x does not vary: they only add to the norms.

    All are multiplied where operands would not become narrower. Reads x, and waits for that.
    """
    vary = (x != x[0]).any(0)  # NaN varies
    vary[0] |= ~vary.any()  # one, so that there is a product
    if tile.widths(int(vary.sum())) == tile.widths(len(vary)):
        vary[:] = True
    return vary.nonzero()[:, 0], (~vary).nonzero()[:, 0]


def _multiple(number: int, of: int) -> int:
    return -(-number // of) * of


def _on(device: torch.device) -> AbstractContextManager[object]:
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()
