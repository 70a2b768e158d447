"""Steps per second of the training step."""

from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import constraints

from aaeframe.build import build_model, build_optimizers, build_priors, recipe_of, resolve
from aaeframe.layers import compose
from aaeframe.protocols import Batch, DataSpec
from aaeframe.registry import Registry

SHAPES = {"digits": (1, 8, 8), "mnist": (1, 28, 28)}
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"))]
BATCH = 100


def recipe_for(shape, device):
    """The paper's networks on data of this shape, with a swiss roll as prior."""
    registry = Registry.load()
    config = resolve(compose(None, None, {"prior": "swissroll"}), registry)
    data = DataSpec(torch.Size(shape), constraints.unit_interval, torch.zeros(()), torch.full((), 255.0))
    model = build_model(config, registry, data, None, build_priors(config, registry, {})).to(device)
    factory = recipe_of(config).load()
    return factory(model, build_optimizers(config, factory.parameters(model)))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("data", SHAPES)
def bench_step(benchmark, data, precision, device):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        recipe = recipe_for(SHAPES[data], device)
        x = torch.randint(0, 256, (BATCH, *SHAPES[data]), dtype=torch.uint8, device=device)
        batch = Batch(x, None, torch.arange(BATCH))

        def step():
            with torch.autocast(device, torch.bfloat16, enabled=precision == "bf16", cache_enabled=False):
                losses = recipe.step(batch)
            if device == "cuda":
                torch.cuda.synchronize()
            return losses["reconstruction"]

        first = float(step())
        benchmark.pedantic(step, rounds=30, warmup_rounds=5)
        last = float(step())

    assert math.isfinite(last)
    assert last < first
    benchmark.extra_info |= {"batch": BATCH, "shape": SHAPES[data], "threads": torch.get_num_threads()}
    if benchmark.stats is not None:  # None under --benchmark-disable
        benchmark.extra_info["steps_per_second"] = round(1 / benchmark.stats.stats.median, 1)
