"""Discriminators: their label input, and the norm of the spectral one."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.distributions import constraints

from aaeframe.protocols import BlockSpec
from aaeframe_plugins.discriminators.mlp import MLP
from aaeframe_plugins.discriminators.spectral import Spectral

PLANE = BlockSpec(torch.Size([2]), constraints.independent(constraints.real, 1))


def test_mlp_has_two_layers_of_1000_and_one_label_more_than_classes():
    discriminator = MLP(PLANE, 10)

    shapes = [(it.in_features, it.out_features) for it in discriminator.modules() if isinstance(it, nn.Linear)]
    assert shapes == [(2 + 11, 1000), (1000, 1000), (1000, 1)]


@pytest.mark.parametrize("kind", [MLP, Spectral])
def test_no_labels_is_the_class_unlabeled(kind):
    discriminator = kind(PLANE, 3, hidden=(8,)).eval()
    z = torch.randn(5, 2)

    assert torch.equal(discriminator(z), discriminator(z, torch.full((5,), 3)))


@pytest.mark.parametrize("kind", [MLP, Spectral])
def test_the_label_picks_the_decision_boundary(kind):
    discriminator = kind(PLANE, 3, hidden=(8,)).eval()
    z = torch.randn(1, 2).expand(4, 2)

    logits = discriminator(z, torch.arange(4))

    assert len(logits.unique()) == 4


@pytest.mark.parametrize("kind", [MLP, Spectral])
def test_labels_are_refused_where_there_are_no_classes(kind):
    with pytest.raises(ValueError, match="built without classes"):
        kind(PLANE, None, hidden=(8,))(torch.randn(5, 2), torch.zeros(5, dtype=torch.long))


def test_spectral_layers_have_norm_one_after_training_calls():
    discriminator = Spectral(PLANE, None, hidden=(16, 16))
    with torch.no_grad():
        for _ in range(100):
            discriminator(torch.randn(4, 2))

    norms = [
        torch.linalg.matrix_norm(it.weight, 2) for it in discriminator.eval().modules() if isinstance(it, nn.Linear)
    ]

    torch.testing.assert_close(torch.stack(norms), torch.ones(len(norms)), atol=0.02, rtol=0)


def test_spectral_evaluation_leaves_the_estimate_alone():
    discriminator = Spectral(PLANE, None, hidden=(16,)).eval()
    before = {name: value.clone() for name, value in discriminator.state_dict().items()}

    discriminator(torch.randn(4, 2))

    assert all(torch.equal(value, before[name]) for name, value in discriminator.state_dict().items())
