"""The captured step. There is no GPU here: what a replay computes is played by running the captured step again."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from aaeframe.assembly.training import prepare
from aaeframe.components.registry import Registry
from aaeframe.configuration.resolve import resolve
from aaeframe.configuration.schema import parse
from aaeframe.data import from_arrays
from aaeframe.errors import DeviceError
from aaeframe.seeds import stream
from aaeframe.training.cuda_graph import WARM_UP, GraphedStep

from .operations import Operations

LABELS = np.arange(300) % 10
ROWS = np.random.default_rng(0).normal(size=(300, 6)).astype(np.float32) + LABELS[:, None]
STEPS = WARM_UP + 4


def ordinary(step):
    return step()


def played(step):
    """As a CUDA graph: nothing is computed at first, and each replay writes over the results of the last."""
    results = {}

    def replay():
        for name, value in step().items():
            results[name] = results[name].copy_(value) if name in results else value.clone()

    return replay, results


@pytest.fixture
def recipe(training):
    """Makes a recipe and its batches, the same each time."""

    def make(*given):
        made = training(*given)
        return made.recipe, made.batches

    return make


@pytest.fixture
def training():
    """Makes a training, the same each time."""

    def make(prior, labels, schedule, encoder):
        table = {
            "prior": prior,
            "encoder": encoder,
            "network": "mlp(hidden=[16])",
            "discriminator": "mlp(hidden=[8])",
            "data": {"labels": labels},
            "training": {"batch_size": 30, "schedule": schedule, "device": "cpu"},
        }
        registry = Registry.load()
        return prepare(resolve(parse(table), registry), from_arrays(ROWS, LABELS))

    return make


def trained(recipe, batches, step):
    with stream(0, "training"):
        losses = [{name: float(loss) for name, loss in step(batches.next()).items()} for _ in range(STEPS)]
    return losses, [parameter.detach().clone() for parameter in recipe.model.parameters()]


@pytest.mark.parametrize("schedule", ["alternating", "joint"])
@pytest.mark.parametrize(
    ("prior", "labels"),
    [
        ("gaussian", 0),
        ("mixture+gaussian", 0),
        ("mixture+gaussian", 50),
        ("swissroll", 50),
        ("y=categorical(classes=3, follow=0.1)", 0),
    ],
)
def test_a_captured_step_trains_to_the_same_bits(recipe, prior, labels, schedule):
    plain, batches = recipe(prior, labels, schedule, "universal(hidden=[8])")
    expected = trained(plain, batches, plain.step)

    graphed, batches = recipe(prior, labels, schedule, "universal(hidden=[8])")
    losses, weights = trained(graphed, batches, GraphedStep(graphed, warm_up=ordinary, capture=played))

    assert losses == expected[0]
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(weights, expected[1], strict=True))


def test_the_step_is_captured_once_and_reads_the_same_memory_ever_after(recipe):
    graphed, batches = recipe("mixture", 50, "alternating", "deterministic")
    captures, seen = [], []
    step = graphed.step

    def capture(captured):
        captures.append(captured)
        return played(captured)

    def look(batch, draws):
        tensors = [
            batch.x,
            batch.labeled.x,
            batch.labeled.labels,
            *(part for it in draws["mixture"] for part in it[:2]),
        ]
        seen.append([tensor.data_ptr() for tensor in tensors])
        return step(batch, draws)

    object.__setattr__(graphed, "step", look)
    trained(graphed, batches, GraphedStep(graphed, warm_up=ordinary, capture=capture))
    assert len(captures) == 1
    assert len(seen) == STEPS
    assert all(pointers == seen[-1] for pointers in seen[WARM_UP:])


def test_a_step_that_cannot_be_captured_is_told_with_the_way_out(recipe):
    def refuse(step):
        raise RuntimeError("operation not permitted when stream is capturing")

    graphed, batches = recipe("gaussian", 0, "alternating", "deterministic")
    with pytest.raises(DeviceError, match=r"not permitted .* training\.cuda_graph=false"):
        trained(graphed, batches, GraphedStep(graphed, warm_up=ordinary, capture=refuse))


def test_out_of_memory_is_not_blamed_on_a_component(recipe):
    def exhausted(step):
        raise torch.OutOfMemoryError("out of memory")

    graphed, batches = recipe("gaussian", 0, "alternating", "deterministic")
    with pytest.raises(torch.OutOfMemoryError):
        trained(graphed, batches, GraphedStep(graphed, warm_up=ordinary, capture=exhausted))


class Changing:
    """A prior, sampled at each step as it follows codes, that gives a single sample when asked for the fifth time."""

    def __init__(self, prior):
        self.event_shape, self.support, self.asked = prior.event_shape, prior.support, 0
        self.prior = prior

    def sample(self, sample_shape):
        self.asked += 1
        return self.prior.sample(sample_shape if self.asked < 5 else (1,))

    def follow(self, code):
        pass


def test_inputs_of_another_shape_than_was_captured_are_refused_and_not_repeated(recipe):
    graphed, batches = recipe("gaussian", 0, "alternating", "deterministic")
    graphed.model.priors["gaussian"] = Changing(graphed.model.priors["gaussian"])
    with pytest.raises(
        DeviceError, match=r"captured .* \(30, 2\).*, now they are .*\(1, 2\).* another number of samples"
    ):
        trained(graphed, batches, GraphedStep(graphed, warm_up=ordinary, capture=played))


@pytest.mark.parametrize("prior", ["gaussian", "mixture", "swissroll", "categorical+gaussian"])
def test_few_operations_are_left_around_a_graph(training, prior):
    made = training(prior, 0, "alternating", "deterministic")
    made._graphed = GraphedStep(made.recipe, warm_up=ordinary, capture=lambda step: (lambda: None, step()))
    with stream(0, "training"):
        for _ in range(WARM_UP + 1):
            made._step()
        with Operations() as operations:
            made._step()
    blocks = prior.count("+") + 1
    copies = 1 + blocks  # the minibatch and the prior samples
    assert len(operations.names) == 1 + copies + 1, operations.names  # one reads rows, one keeps the losses
