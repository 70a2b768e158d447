"""Timings of benchmarks/gpu.py beyond the cases of `aaeframe bench`: the Parzen kernels on streamed samples."""

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
from aaeframe_kernels.parzen import ParzenState
from aaeframe_kernels.parzen import launch as gpu
from aaeframe_kernels.parzen.launch import Mode, Tile


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
    product is taken in the same chunks, and the fastest is what all are compared with. There are as many samples in
    memory as in the largest chunk; chunks are taken in turn.
    """
    x, y = digit_images(rows, 28).to(device), decoder_like(max(chunks), 28).to(device)
    products = {str(chunk): seconds(device, bare_product(x, y, chunk, samples // chunk)) for chunk in chunks}
    found: dict[str, Any] = {"rows": rows, "samples": samples, "fp16_product_seconds_by_chunk": products}
    for chunk, precision, count in itertools.product(chunks, precisions, counts):
        grid = torch.logspace(math.log10(0.08), math.log10(0.3), count).tolist() if count > 1 else [0.2]
        found[f"{precision}, {count} bandwidths, chunks of {chunk}"] = {
            "bandwidths": count,
            "pairs": rows * samples,
            "product_seconds": min(products.values()),
            **streamed(device, x, y, grid, precision, chunk, samples // chunk),
        }
    return found


def rotating(samples: torch.Tensor, size: int, passes: int) -> Iterator[torch.Tensor]:
    """`passes` chunks of `size` samples, each a different one until all are used: so no cache serves them.

    The samples must be larger than the cache for that: 100,000 of 784 float32 are 314 MB, five times that of an H200.
    """
    return itertools.islice(itertools.cycle(samples[: len(samples) // size * size].split(size)), passes)


def streamed(
    device: torch.device,
    x: torch.Tensor,
    y: torch.Tensor,
    grid: list[float],
    precision: str,
    chunk: int,
    passes: int,
) -> dict[str, Any]:
    """Seconds and memory of the estimate over so many chunks of y."""
    state = ParzenState(x, grid, precision=precision)

    def stream() -> None:
        for samples in rotating(y, chunk, passes):
            state.update(samples, chunk)
        state.log_likelihood()

    state.update(y[:chunk], chunk)  # compiles
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    inputs = torch.cuda.memory_allocated(device) if device.type == "cuda" else 0
    best = seconds(device, stream)
    peak = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0
    mean = state.log_likelihood().mean().item()
    return {"seconds": best, "mean": mean, "peak_mib_above_inputs": (peak - inputs) / 2**20, "paths": dict(state.paths)}


def tile_choice(
    device: torch.device,
    rows: int = 10_000,
    chunk: int = 100_000,
    passes: int = 10,
    tiles: Mapping[Mode, Sequence[Tile]] = gpu.CANDIDATES,
) -> dict[str, Any]:
    """Seconds by tile, next to a bare fp16 product; one bandwidth. The kernels' table should name the fastest.

    All tiles must find the first one's mean log-likelihood to 0.01 nats.
    """
    x, y = digit_images(rows, 28).to(device), decoder_like(chunk, 28).to(device)
    product = seconds(device, bare_product(x, y, chunk, passes))
    found: dict[str, Any] = {"rows": rows, "samples": passes * chunk, "fp16_product_seconds": product}
    means: list[float] = []
    for mode, candidates in tiles.items():
        for tile in candidates:
            with using(mode, tile):
                name = described(mode, tile)
                try:
                    found[name] = timed = streamed(device, x, y, [0.2], mode, chunk, passes)
                    means.append(timed["mean"])
                    if not abs(timed["mean"] - means[0]) <= 0.01:  # NaN too
                        found[name] = f"wrong: its mean is {timed['mean']} nats, where the first tile's is {means[0]}"
                except Exception as error:  # one that does not fit this GPU; the others are worth knowing
                    found[name] = f"{type(error).__name__}: {error}"
    return found


def compiled_tiles(device: torch.device, candidates: int = 1) -> dict[str, Any]:
    """Resources of a launch of the first tiles of each mode, compiled for compute capability 9.0 and not run."""
    from aaeframe_kernels.ahead_of_time import compiling_for

    x, samples = digit_images(128, 28).flatten(1), decoder_like(128, 28).flatten(1)
    found: dict[str, Any] = {}
    for mode, tiles in gpu.CANDIDATES.items():
        for tile in tiles[:candidates]:
            with using(mode, tile), compiling_for("sm_90a") as compiled:
                gpu.prepare(x, torch.tensor([0.2]), mode).partial(samples)
            kernel = next(it for it in compiled if it.name == "partial_kernel")
            found[described(mode, tile)] = {it: getattr(kernel, it) for it in ("registers", "shared", "spills")}
    return found


def described(mode: Mode, tile: Tile) -> str:
    options = [f", tail {tile.tail}"] * bool(tile.tail) + [", descriptors"] * tile.descriptors
    return f"{mode} {tile.rows}x{tile.samples}x{tile.depth}, {tile.warps} warps, {tile.stages} stages{''.join(options)}"


@contextmanager
def using(mode: Mode, tile: Tile) -> Iterator[None]:
    """Inside, the kernels' table has this tile for the mode."""
    before = gpu.TILES[mode]
    gpu.TILES[mode] = tile
    try:
        yield
    finally:
        gpu.TILES[mode] = before


def bare_product(x: torch.Tensor, y: torch.Tensor, chunk: int, passes: int) -> Callable[[], None]:
    """The products alone, in fp16 into memory that is there, through cuBLAS."""
    a, halves = x.flatten(1).half(), y.flatten(1).half()
    out = a.new_empty(len(a), chunk)

    def run() -> None:
        for samples in rotating(halves, chunk, passes):
            torch.mm(a, samples.T, out=out)

    torch.mm(a, halves[:chunk].T, out=out)  # sets cuBLAS up
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
