"""Trainings of every recipe on a few rows, and eyes on what happens within a step."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from aaeframe.assembly.training import prepare
from aaeframe.components.registry import Registry
from aaeframe.configuration.resolve import resolve
from aaeframe.configuration.schema import parse
from aaeframe.data import from_arrays
from aaeframe.seeds import stream

RECIPES = {it.name: it.factory() for it in Registry.load().offers("recipe")}
LABELS = np.arange(300) % 10
ROWS = np.random.default_rng(0).normal(size=(300, 6)).astype(np.float32) + LABELS[:, None]
IMAGES = np.random.default_rng(1).integers(0, 256, size=(300, 8, 8), dtype=np.uint8)
UNLABELED, LABELED = 30, 20
"""Rows in a batch."""


def table_of(recipe, labels, prior, options=None, **table):
    """The configuration of a small run."""
    known = RECIPES[recipe].needs
    labels = 50 * (known.labels == "required") if labels is None else labels
    training = {"batch_size": UNLABELED, "device": "cpu", **table.pop("training", {})}
    if labels:
        training["labeled_batch_size"] = LABELED
    return {
        "prior": prior or ("y=categorical+z=gaussian" if known.class_block else "z=gaussian"),
        "encoder": "deterministic" if known.adversarial else "gaussian",
        "network": "mlp(hidden=[16])",
        "discriminator": "mlp(hidden=[8])",
        "data": {"labels": labels},
        "recipe": {"component": recipe, "options": options or {}},
        "training": training,
        **table,
    }


@pytest.fixture(scope="session")
def registry():
    return Registry.load()


@pytest.fixture
def prepared(tmp_path, registry):
    """Makes a training of any recipe, with labels where it must have them; its recipe steps under a fixed seed."""

    def make(recipe, schedule=None, labels=None, prior=None, data=(ROWS, LABELS), **table):
        whole = table_of(recipe, labels, prior, **table)
        if schedule:
            whole["training"]["schedule"] = schedule
        training = prepare(resolve(parse(whole), registry), from_arrays(*data))
        training.model.train()
        return training

    with stream(0, "test"):
        yield make


class Spy(nn.Module):
    """A discriminator that remembers what it was shown."""

    def __init__(self, inner):
        super().__init__()
        self.inner, self.calls = inner, []

    def forward(self, z, labels=None):
        self.calls.append((z.detach().clone(), None if labels is None else labels.clone()))
        return self.inner(z, labels)


def spied(training):
    """Spies on every discriminator of a training."""
    spies = {name: Spy(inner) for name, inner in training.model.discriminators.items()}
    training.model.discriminators.update(spies)
    return spies


def recorded(module):
    """The (inputs, output) of every later call of a module."""
    calls = []
    module.register_forward_hook(lambda _, given, out: calls.append((given, out)))
    return calls


def snapshot(tensors):
    return {name: value.detach().clone() for name, value in tensors}


def changed(before, after):
    return {name for name in before if not torch.equal(before[name], after[name])}


def moments(training):
    """(phase, parameters before its optimizer's step, parameters after it) of every later step."""
    found, parameters = [], training.model.named_parameters
    for phase, optimizer in training.optimizers.items():
        optimizer.register_step_pre_hook(lambda *_, phase=phase: found.append([phase, snapshot(parameters())]))
        optimizer.register_step_post_hook(lambda *_: found[-1].append(snapshot(parameters())))
    return found


def moved(training):
    """{phase: the parameters that its optimizer moves} in one step; nothing moves them but optimizers."""
    found, before = moments(training), snapshot(training.model.named_parameters())
    training.recipe.step(training.batches.next())
    by_phase = {}
    for phase, entered, left in found:
        assert not changed(before, entered), f"something moved before {phase}"
        assert phase not in by_phase, f"{phase} has two steps"
        by_phase[phase] = changed(entered, left)
        before = left
    assert not changed(before, snapshot(training.model.named_parameters())), "something moved after the last phase"
    return by_phase


class Synchronizations(TorchDispatchMode):
    """Remembers the operations whose result the host must wait for."""

    waiting = ("_local_scalar_dense", "nonzero", "is_nonzero", "equal", "masked_select", "_unique2")

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        by_mask = name == "index" and any(index is not None and index.dtype == torch.bool for index in args[1])
        if name in self.waiting or by_mask:
            self.found.append(name)
        return func(*args, **(kwargs or {}))


@pytest.fixture
def watch():
    """Helpers that look into a step without changing it."""
    return SimpleNamespace(
        spied=spied,
        recorded=recorded,
        snapshot=snapshot,
        changed=changed,
        moved=moved,
        synchronizations=Synchronizations,
    )


@pytest.fixture
def rows():
    """The data of `prepared`: rows, labels, images of the same labels."""
    return SimpleNamespace(x=ROWS, labels=LABELS, images=IMAGES, unlabeled=UNLABELED, labeled=LABELED)


@pytest.fixture
def table():
    """Makes the configuration of a small run of a recipe, as a table."""
    return table_of
