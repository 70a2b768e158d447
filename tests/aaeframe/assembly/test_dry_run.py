from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import aaeframe
from aaeframe.assembly.dry_run import dry_run
from aaeframe.assembly.training import prepare
from aaeframe.components.registry import Registry
from aaeframe.configuration.resolve import resolve
from aaeframe.configuration.schema import parse
from aaeframe.data import from_arrays
from aaeframe.errors import BrokenComponent

IMAGES = np.random.default_rng(0).integers(0, 256, size=(100, 8, 8), dtype=np.uint8)
LABELS = np.arange(100) % 10
X = torch.from_numpy(IMAGES[:2, None])


@pytest.fixture
def model(tmp_path):
    table = {
        "prior": "mixture+gaussian",
        "encoder": "universal",
        "network": "conv",
        "discriminator": "spectral(hidden=[8])",
        "data": {"labels": 20},
    }
    registry = Registry.load()
    return prepare(resolve(parse(table), registry), from_arrays(IMAGES, LABELS)).model


class Changed(nn.Module):
    """A part with something done to what it gives."""

    def __init__(self, inner, change):
        super().__init__()
        self.inner, self.change = inner, change
        self.noise_shape = getattr(inner, "noise_shape", None)

    def forward(self, *inputs):
        return self.change(self.inner(*inputs))


def failing(value):
    raise ValueError("no luck")


def test_nothing_moves(model):
    before = {name: value.clone() for name, value in model.state_dict().items()}
    random, modes = torch.get_rng_state(), [part.training for part in model.modules()]
    dry_run(model, X, 10, seed=0)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)
    assert [part.training for part in model.modules()] == modes
    assert all(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize(
    ("part", "change", "message"),
    [
        ("encoder", lambda code: code["mixture"], r"the encoder must give a code with the blocks .* found Tensor"),
        ("encoder", lambda code: {"mixture": code["mixture"]}, r"with the blocks .* found \['mixture'\]"),
        (
            "encoder",
            lambda code: {**code, "gaussian": code["gaussian"][:, :1]},
            r"the encoder, for block 'gaussian', must give a tensor of shape \(2, 2\) for 2 rows, found \(2, 1\)",
        ),
        ("encoder", failing, r"the encoder \(Changed\) fails on the first rows: ValueError: no luck"),
        (
            "decoder",
            lambda x_hat: x_hat.mean((2, 3)),
            r"the decoder must give a tensor of shape \(2, 1, 8, 8\) for 2 rows, found \(2, 1\)",
        ),
        ("decoder", failing, r"the decoder \(Changed\) fails on the first rows: ValueError: no luck"),
    ],
    ids=["no mapping", "missing block", "code", "failing encoder", "decoding", "failing decoder"],
)
def test_a_part_that_breaks_its_promise_is_named(model, part, change, message):
    setattr(model, part, Changed(getattr(model, part), change))
    with pytest.raises(BrokenComponent, match=message):
        dry_run(model, X, 10, seed=0)


@pytest.mark.parametrize("block", ["mixture", "gaussian"])
def test_logits_of_another_shape_are_refused_for_every_block(model, block):
    model.discriminators[block] = Changed(model.discriminators[block], lambda logits: logits.unsqueeze(1))
    message = rf"the discriminator of block '{block}' must give a tensor of shape \(2,\) for 2 rows, found \(2, 1\)"
    with pytest.raises(BrokenComponent, match=message):
        dry_run(model, X, 10, seed=0)


def test_labels_are_given_to_the_discriminators_that_will_get_them(model):
    seen = {}
    for name, inner in model.discriminators.items():
        inner.register_forward_pre_hook(lambda _, given, name=name: seen.update({name: given[1]}))
    dry_run(model, X, 10, seed=0)
    assert seen["mixture"].tolist() == [10, 10]
    assert seen["gaussian"] is None


STRANGER = """
from torch import nn
from aaeframe import Component, hookimpl

@hookimpl
def aaeframe_discriminators():
    return [Component("wide", "aaeframe_wide:Wide", "one logit too deep")]

class Wide(nn.Module):
    def __init__(self, block, num_classes):
        super().__init__()
        self.linear = nn.Linear(block.event_shape.numel(), 1)

    def forward(self, z, labels=None):
        return self.linear(z)
"""


def test_a_strangers_logits_are_refused_before_anything_is_written(tmp_path, install):
    install("aaeframe-wide", {"aaeframe_wide": STRANGER})
    with pytest.raises(BrokenComponent, match=r"the discriminator of block 'gaussian' must .*found \(2, 1\)"):
        aaeframe.train(IMAGES, discriminator="wide", network="mlp(hidden=[8])", device="cpu", out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
