"""Calling the model: reconstruction of one batch with gradients, for torch's own tools."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.distributions import MultivariateNormal, constraints

from aaeframe.model.autoencoder import Autoencoder
from aaeframe.model.representation import Concatenate, WithLabel
from aaeframe.protocols import BlockSpec, DataSpec
from aaeframe_plugins.encoders.deterministic import Deterministic
from aaeframe_plugins.encoders.gaussian import Gaussian
from aaeframe_plugins.networks.mlp import MLP

X = torch.linspace(-3, 5, 12).reshape(3, 4)
LABELS = torch.tensor([0, 2, 1])


def built(encoder, classes=None):
    prior = MultivariateNormal(torch.zeros(2), torch.eye(2))
    blocks = {"z": BlockSpec(prior.event_shape, prior.support)}
    data = DataSpec(torch.Size([4]), constraints.real, torch.arange(4.0), torch.full((4,), 2.0))
    representation = Concatenate(blocks) if classes is None else WithLabel(blocks, classes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = MLP(data, representation.size, hidden=(8,))
        return Autoencoder(data, encoder(network, blocks), network.decoder, representation, {"z": prior}, {})


@pytest.mark.parametrize("encoder", [Deterministic, Gaussian])
def test_in_evaluation_mode_it_is_reconstruct(encoder):
    model = built(encoder).eval()

    assert torch.equal(model(X), model.reconstruct(X))


def test_labels_reach_the_decoder():
    model = built(Deterministic, classes=3).eval()

    assert torch.equal(model(X, LABELS), model.reconstruct(X, LABELS))
    assert not torch.equal(model(X, LABELS), model(X, LABELS.flip(0)))


def test_noise_is_drawn_in_training_mode_or_given():
    model = built(Gaussian).train()
    noise = torch.ones(3, 2)

    assert not torch.equal(model(X), model(X))
    assert torch.equal(model(X, noise=noise), model(X, noise=noise))


def test_gradients_reach_every_weight_through_hooks():
    model, seen = built(Gaussian), []
    for part in (model.encoder, model.decoder, model):
        part.register_forward_hook(lambda module, inputs, output: seen.append(type(module).__name__))

    model(X).sum().backward()

    assert seen == ["Gaussian", "Sequential", "Autoencoder"]
    assert [name for name, it in model.named_parameters() if it.grad is None] == []


# torch warns of the one version 3.13.0 of Python, in which this is slower.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Guards may run slower on Python 3.13.0:RuntimeWarning")
def test_it_compiles_as_one_graph():
    model = built(Gaussian).eval()
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")

    assert torch.allclose(compiled(X), model(X), atol=1e-6)  # another order of the same operations


@pytest.mark.slow
def test_it_is_traced_for_any_number_of_rows():
    model = built(Deterministic).eval()

    exported = torch.export.export(model, (X,), dynamic_shapes=({0: torch.export.Dim("rows")},))

    assert torch.allclose(exported.module()(X[:2]), model(X[:2]), atol=1e-6)
    assert nn.Sequential(model, nn.Flatten())(X).shape == (3, 4)
