"""The counted cost of a step of the paper's networks: numbers that change only with the step itself.

benchmarks/README.md has the same numbers; a test reads them there.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from aaeframe.benchmarking import SUITES
from aaeframe.benchmarking import counts as counts_module
from aaeframe.benchmarking.baselines import PlainEager
from aaeframe.benchmarking.case import BenchSettings
from aaeframe.benchmarking.counts import adam_traffic, costs, count, kernels
from aaeframe.benchmarking.inputs import digit_images
from aaeframe.benchmarking.sizes import Sizes
from aaeframe.benchmarking.step import recipe_for
from aaeframe.protocols import Batch

CPU, SIZES, BATCH = torch.device("cpu"), Sizes(), 100
OPERATIONS = {"alternating": 124, "joint": 112}
"""Dispatched in one step of ours on a CPU."""
PLAIN_OPERATIONS = {"alternating": 362, "joint": 289}
README = Path(__file__).parents[3] / "benchmarks" / "README.md"


def expected_flops(schedule):
    """Counted by hand: a product costs twice its three sizes; backward costs as much for the weights and for the
    inputs."""
    p, w, c = SIZES.pixels, SIZES.width, SIZES.code
    autoencoder_half = 2 * (p * w + w * w + w * c)
    into_pixels = 2 * p * w  # nobody wants the gradient of the pixels
    body = 2 * (c * w + w * w)  # of the discriminator; its head is a product with a vector, which is not counted
    reconstruction = 3 * 2 * autoencoder_half - into_pixels
    discriminator = 2 * (3 * body - 2 * c * w)  # prior samples and codes, neither of which want a gradient
    generator = 2 * body  # frozen: no gradient of its weights
    if schedule == "joint":
        return BATCH * (reconstruction + discriminator + generator)
    encoding = 3 * autoencoder_half - into_pixels
    return BATCH * (reconstruction + discriminator + generator + encoding)


@pytest.fixture(scope="module")
def pixels():
    return digit_images(BATCH, SIZES.side)


@pytest.fixture(scope="module")
def counted(pixels):
    """The second step of ours by schedule: the first sets up the optimizers."""
    found = {}
    for schedule in OPERATIONS:
        with torch.random.fork_rng():
            recipe = recipe_for(SIZES, schedule, CPU)
            batch = Batch(pixels, None, torch.arange(BATCH))
            recipe.step(batch)
            found[schedule] = count(lambda recipe=recipe, batch=batch: recipe.step(batch))
    return found


@pytest.fixture(scope="module")
def plain(pixels):
    found = {}
    with torch.random.fork_rng():
        for schedule in OPERATIONS:
            script = PlainEager(SIZES, CPU)
            step = script.step if schedule == "alternating" else script.joint_step
            step(pixels)
            found[schedule] = count(lambda step=step: step(pixels))
    return found


@pytest.mark.parametrize("schedule", OPERATIONS)
def test_a_step_multiplies_no_more_than_it_must(counted, plain, schedule):
    assert counted[schedule].flops == expected_flops(schedule)
    assert counted[schedule].flops < plain[schedule].flops


@pytest.mark.parametrize("schedule", OPERATIONS)
def test_a_step_dispatches_as_many_operations_as_are_written_down(counted, plain, schedule):
    assert counted[schedule].total == OPERATIONS[schedule], counted[schedule].operations.most_common()
    assert plain[schedule].total == PLAIN_OPERATIONS[schedule]


@pytest.mark.parametrize("schedule", OPERATIONS)
def test_the_readme_tells_the_same_figures(counted, plain, schedule):
    ours, theirs = counted[schedule], plain[schedule]
    row = f"| {schedule} | {ours.flops / 1e9:.2f} | {ours.total} | {theirs.flops / 1e9:.2f} | {theirs.total} |"
    assert row in README.read_text("utf-8")


def test_views_and_allocations_are_no_operations():
    x = torch.ones(4, 6)
    found = count(lambda: torch.empty(3).add_(1) + (x.t().reshape(6, 4)[:3, 0]))
    assert found.operations == {"add_": 1, "add": 1}
    assert found.flops == 0


def test_flops_of_a_product():
    a, b = torch.ones(2, 3), torch.ones(3, 5)
    assert count(lambda: a @ b).flops == 2 * 2 * 3 * 5


def test_adam_moves_four_arrays_in_and_three_out():
    assert adam_traffic(10) == 10 * 4 * 7


def test_the_costs_of_a_call_are_its_products_its_operations_and_the_calls_of_our_kernels():
    a = torch.ones(4, 5)
    assert costs(lambda: (a @ a.T).exp(), CPU) == {"flops": 2 * 4 * 5 * 4, "operations": 2, "launches": 0}
    assert costs(lambda: a @ torch.ones(5), CPU) == {"operations": 2, "launches": 0}  # torch counts no FLOP of it
    (ours,) = [it for it in loss_alternatives() if it.ours]
    with ours.within():
        assert costs(ours.prepare(), CPU)["launches"] == 1


def loss_alternatives():
    (case,) = SUITES["loss"].load()(BenchSettings(CPU, quick=True))
    return case.alternatives


def test_what_is_compiled_is_counted_without_the_compiler():
    def chain(x):
        return (2 * x + 1).exp()

    x = torch.ones(3)
    compiled = torch.compile(chain, backend="eager", fullgraph=True)
    compiled(x)
    assert costs(lambda: compiled(x), CPU) == costs(lambda: chain(x), CPU)
    torch._dynamo.reset()


def test_kernels_of_a_gpu_are_those_that_ran_on_it_without_copies(monkeypatch):
    class Event:
        def __init__(self, name, device):
            self.name, self.device_type = name, torch.profiler.DeviceType(device)

    class Profiler:
        def __init__(self, activities):
            assert activities == [torch.profiler.ProfilerActivity.CUDA]

        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

        def events(self):
            on_device = ["gemm", "gemm", "Memcpy DtoD", "Memset (Device)", "elementwise"]
            return [Event("cudaLaunchKernel", 0), *(Event(name, 1) for name in on_device)]

    called = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: called.append("wait"))
    assert kernels(lambda: called.append("call"), Profiler) == 3
    assert called == ["call", "wait"]
    monkeypatch.setattr(counts_module, "kernels", lambda call: 7)
    assert costs(lambda: None, torch.device("cuda")) == {"kernels": 7}
