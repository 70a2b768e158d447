"""Checks of benchmarks/gpu.py, one function each; every one also runs on a CPU, at small sizes."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

import aaeframe
from aaeframe import data as datasets
from aaeframe.benchmarking.inputs import decoder_like, digit_images
from aaeframe.components.registry import Registry
from aaeframe.runs.start import resume
from aaeframe_kernels.parzen import ParzenState
from aaeframe_kernels.parzen.reference import log_likelihood

ROOT = Path(__file__).parents[1]
BANDWIDTHS = (0.1, 0.15, 0.2, 0.3)
PRECISIONS = ("auto", "fp16", "int8x2", "fp32")


class Failed(Exception):
    """A result is wrong."""


def kernel_tests(device: torch.device, tests: Sequence[str] = (), options: Sequence[str] = ()) -> dict[str, Any]:
    """pytest of the kernels' numbers, on the GPU itself, which compiles each shape anew. Failed if a test fails.

    Its lines are printed as they come, so that they tell which tests ran if the time is over before the end.
    """
    known = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "tests/kernels").rglob("kernel_*.py"))
    chosen = ("-v", "-m", "", "-p", "no:cacheprovider", *options, *(tests or known))
    command = [sys.executable, "-m", "pytest", *chosen]
    lines: deque[str] = deque(maxlen=30)
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as child:
        for line in child.stdout or ():
            print(line, end="", flush=True)
            lines.append(line.rstrip())
    if child.returncode != 0:
        raise Failed("\n".join(lines))
    return {"command": " ".join(command[1:]), "tail": lines[-1]}


def collected_tests(device: torch.device) -> dict[str, Any]:
    """The same tests collected and not run: whether all that they import is there."""
    return kernel_tests(device, options=("--collect-only", "-q", "-n", "0"))


def training(device: torch.device, width: int = 1000, epochs: int = 2) -> dict[str, Any]:
    """A run on the digits with the step as a graph, without, and stopped and resumed: all three must end alike."""
    layers = f"mlp(hidden=[{width}, {width}])"
    shared = {"prior": "swissroll", "encoder": "universal", "network": layers, "discriminator": layers}
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, graph in (("graph", True), ("no graph", False)):
            out = Path(folder) / name
            run = aaeframe.train(
                "digits", **shared, epochs=epochs, device=str(device), cuda_graph=graph, checkpoint_every=1, out=out
            )
            found[name] = last_epoch(run)
            if graph:
                shutil.rmtree(sorted((out / "checkpoints").iterdir())[-1])
                found["resumed"] = last_epoch(resume(out, Registry.load()))
    ends = {name: it["validation/reconstruction"] for name, it in found.items()}
    if not max(ends.values()) <= 1.001 * min(ends.values()):  # NaN too
        raise Failed(f"validation errors differ by more than a thousandth: {ends}")
    return found


def processes(device: torch.device, width: int = 1000, epochs: int = 2) -> dict[str, Any]:
    """A run on the digits by one process and by two, as a graph and without: all must end alike. It needs two GPUs."""
    if device.type == "cuda" and torch.cuda.device_count() < 2:
        return {"left_out": f"it needs two GPUs, found {torch.cuda.device_count()}"}
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for count, graph in ((1, True), (2, True), (2, False)):
            name = f"{count} {'graph' if graph else 'no graph'}"
            launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}"]
            work = [__file__, str(Path(folder) / name), device.type, str(width), str(epochs), str(graph)]
            done = subprocess.run([*launcher, *work], capture_output=True, text=True)
            if done.returncode != 0:
                raise Failed(f"{name}: exit code {done.returncode}: {done.stderr[-2000:]}")
            found[name] = last_epoch(aaeframe.load(Path(folder) / name, device="cpu"))
    ends = {name: it["validation/reconstruction"] for name, it in found.items()}
    if not max(ends.values()) <= 1.01 * min(ends.values()):  # NaN too
        raise Failed(f"validation errors differ by more than a hundredth: {ends}")
    return found


def one_of_several(out: str, device: str, width: str, epochs: str, graph: str) -> None:
    """The work of one process of `processes`."""
    layers = f"mlp(hidden=[{width}, {width}])"
    shared = {"prior": "swissroll", "network": layers, "discriminator": layers, "batch_size": 200}
    aaeframe.train("digits", **shared, epochs=int(epochs), device=device, cuda_graph=graph == "True", out=out)


def last_epoch(run: aaeframe.Run) -> dict[str, float]:
    """The losses and the speed of a run's last epoch."""
    rows = [json.loads(line) for line in run.folder.metrics.read_text("utf-8").splitlines()]
    return {name: rows[-1][name] for name in ("reconstruction", "validation/reconstruction", "steps_per_second")}


def accuracy(
    device: torch.device, rows: int = 2000, samples: int = 10000, precisions: tuple[str, ...] = PRECISIONS
) -> dict[str, Any]:
    """Errors of log-likelihoods against the specification in float64, in nats, for each precision and bandwidth."""
    x, source = real_digits(rows)
    y = decoder_like(samples, 28).to(device)
    exact = log_likelihood(x.flatten(1), y.cpu().flatten(1), torch.tensor(BANDWIDTHS))
    found: dict[str, Any] = {"x": source, "rows": rows, "samples": samples}
    for precision in precisions:
        state = ParzenState(x.to(device), BANDWIDTHS, precision=precision)
        state.update(y)
        error = state.log_likelihood().cpu() - exact
        found[precision] = {
            "paths": dict(state.paths),
            "mean": by_bandwidth(error.mean(0)),
            "std": by_bandwidth(error.std(0)),
            "largest": by_bandwidth(error.abs().amax(0)),
        }
    wrong = [it for it in precisions if not all(abs(error) <= 0.01 for error in found[it]["mean"].values())]  # NaN too
    if wrong:
        raise Failed(f"more than 0.01 nats off in the mean: {', '.join(wrong)}: {found}")
    return found


def real_digits(rows: int) -> tuple[torch.Tensor, str]:
    """(rows, 1, 28, 28) uint8, and what they are."""
    if "AAEFRAME_DATA" not in os.environ:
        return digit_images(rows, 28), "digits of scikit-learn, enlarged"
    return torch.from_numpy(datasets.load("mnist").split("test").array()[:rows]), "MNIST test digits"


def by_bandwidth(values: torch.Tensor) -> dict[str, float]:
    return dict(zip(map(str, BANDWIDTHS), values.tolist(), strict=True))


def accumulator(device: torch.device, widths: tuple[int, ...] = (784, 2304), rows: int = 2048) -> dict[str, Any]:
    """Error of fp16 dot products with a float32 accumulator, against float64: a mean unlike 0 is truncation."""
    found = {}
    for width in widths:
        side = math.isqrt(width)
        pixels, samples = digit_images(rows, side).flatten(1).float(), decoder_like(rows, side).flatten(1)
        a, b = ((it.to(device) - shift).half() for it, shift in ((pixels, 128.0), (samples, 0.5)))
        product = torch.mm(a, b.T, out_dtype=torch.float32) if device.type == "cuda" else a.float() @ b.float().T
        error = product.double() - a.double() @ b.double().T
        size = product.abs().mean().item()
        found[str(width)] = {
            "mean": error.mean().item(),
            "mean_away_from_zero": (error * product.sign()).mean().item(),
            "std": error.std().item(),
            "mean_magnitude": size,
        }
    return found


def tf32(device: torch.device) -> dict[str, Any]:
    """The value of 1 + 2**-11 + 2**-12, between 1 and tf32's next number 1 + 2**-10; 1 means truncation."""
    a = torch.full((16, 16), 1 + 2**-11 + 2**-12, device=device)
    identity = torch.eye(16, device=device)
    found: dict[str, Any] = {}
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    found["torch.mm"] = verdict((a @ identity)[0, 0].item())
    torch.set_float32_matmul_precision(before)
    if device.type == "cuda":
        from tf32_kernel import through_triton

        found["tl.dot"] = verdict(through_triton(a, identity)[0, 0].item())
    return found


def verdict(value: float) -> str:
    known = {1.0: "truncated", 1 + 2**-10: "rounded", 1 + 2**-11 + 2**-12: "not tf32"}
    return known.get(value, f"unexpected: {value!r}")


if __name__ == "__main__":
    one_of_several(*sys.argv[1:])
