"""What benchmarks/gpu.py times beyond the cases of `aaeframe bench`: the Parzen kernels over samples that stream by."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from aaeframe.benchmarking.inputs import decoder_like, digit_images
from aaeframe.benchmarking.timing import synchronizer
from aaeframe.evaluation.likelihood import CHUNK
from aaeframe_kernels.parzen import ParzenState, gpu
from aaeframe_kernels.parzen.gpu import Mode, Tile


def parzen_speed(
    device: torch.device,
    rows: int = 10_000,
    samples: int = 10_000_000,
    chunks: tuple[int, ...] = (100_000, CHUNK),
    precisions: tuple[str, ...] = ("fp16", "int8x2"),
    counts: tuple[int, ...] = (1, 10, 20),
) -> dict[str, Any]:
    """Seconds for ten million samples that stream by, D = 784, next to a bare fp16 product; 1, 10, 20 bandwidths.

    Samples come in chunks of 100,000 and in those of `aaeframe evaluate --likelihood`; each must divide `samples`. The
    product is taken in the same chunks, and the fastest is what all are set against.
    """
    x = digit_images(rows, 28).to(device)
    y = decoder_like(max(chunks), 28).to(device)
    products = {str(chunk): seconds(device, bare_product(x, y[:chunk], samples // chunk)) for chunk in chunks}
    found: dict[str, Any] = {"rows": rows, "samples": samples, "fp16_product_seconds_by_chunk": products}
    for chunk, precision, count in itertools.product(chunks, precisions, counts):
        grid = torch.logspace(math.log10(0.08), math.log10(0.3), count).tolist() if count > 1 else [0.2]
        found[f"{precision}, {count} bandwidths, chunks of {chunk}"] = streamed(
            device, x, y[:chunk], grid, precision, samples // chunk, min(products.values())
        )
    return found


def streamed(
    device: torch.device,
    x: torch.Tensor,
    y: torch.Tensor,
    grid: list[float],
    precision: str,
    passes: int,
    product: float,
) -> dict[str, Any]:
    """The estimate over the chunk y, taken `passes` times."""
    state = ParzenState(x, grid, precision=precision)

    def stream() -> None:
        for _ in range(passes):
            state.update(y, len(y))
        state.log_likelihood()

    state.update(y, len(y))  # compiles
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    inputs = torch.cuda.memory_allocated(device) if device.type == "cuda" else 0
    best = seconds(device, stream)
    peak = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0
    return {
        "seconds": best,
        "to_product": best / product,
        "peak_mib_above_inputs": (peak - inputs) / 2**20,
        "paths": dict(state.paths),
    }


TILES: Mapping[Mode, tuple[Tile, ...]] = {
    "fp16": (Tile(128, 128, 64, 4, 3), Tile(128, 128, 64, 8, 3), Tile(128, 256, 64, 8, 3)),
    "int8x2": (Tile(128, 64, 128, 4, 3), Tile(128, 64, 128, 8, 3), Tile(128, 128, 64, 8, 3)),
}
"""Those that compile without spilling for compute capability 9.0, or nearly so."""


def tile_choice(
    device: torch.device,
    rows: int = 10_000,
    chunk: int = 100_000,
    passes: int = 10,
    tiles: Mapping[Mode, Sequence[Tile]] = TILES,
) -> dict[str, Any]:
    """Seconds by tile, next to a bare fp16 product; one bandwidth. The kernels' table should name the fastest."""
    x, y = digit_images(rows, 28).to(device), decoder_like(chunk, 28).to(device)
    product = seconds(device, bare_product(x, y, passes))
    found: dict[str, Any] = {"rows": rows, "samples": passes * chunk, "fp16_product_seconds": product}
    for mode, candidates in tiles.items():
        for tile in candidates:
            with using(mode, tile):
                name = f"{mode} {tile.rows}x{tile.samples}x{tile.depth}, {tile.warps} warps, {tile.stages} stages"
                try:
                    found[name] = streamed(device, x, y, [0.2], mode, passes, product)
                except Exception as error:  # one that does not fit this GPU; the others are worth knowing
                    found[name] = f"{type(error).__name__}: {error}"
    return found


@contextmanager
def using(mode: Mode, tile: Tile) -> Iterator[None]:
    """Inside, the kernels' table has this tile for the mode."""
    before = gpu.TILES[mode]
    gpu.TILES[mode] = tile
    try:
        yield
    finally:
        gpu.TILES[mode] = before


def bare_product(x: torch.Tensor, y: torch.Tensor, passes: int) -> Callable[[], None]:
    """The products alone, in fp16 into memory that is there, through cuBLAS."""
    a, b = x.flatten(1).half(), y.flatten(1).half()
    out = a.new_empty(len(a), len(b))

    def run() -> None:
        for _ in range(passes):
            torch.mm(a, b.T, out=out)

    torch.mm(a, b.T, out=out)
    return run


def seconds(device: torch.device, call: Callable[[], Any], repeats: int = 3) -> float:
    """The median of a few timed calls."""
    wait, found = synchronizer(device), []
    for _ in range(repeats):
        wait()
        start = time.perf_counter()
        call()
        wait()
        found.append(time.perf_counter() - start)
    return sorted(found)[repeats // 2]
