from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from aaeframe.assembly.model import build_model, build_priors
from aaeframe.assembly.training import prepare
from aaeframe.components.registry import Registry
from aaeframe.configuration.resolve import resolve
from aaeframe.configuration.schema import parse
from aaeframe.data import from_arrays
from aaeframe.model.initialization import draw_weights
from aaeframe.seeds import stream


@pytest.fixture(autouse=True)
def seeded():
    with stream(0, "initialization of the test"):
        yield


@pytest.mark.parametrize(
    "layer",
    [nn.Linear(60, 50), nn.Conv1d(20, 30, 5), nn.Conv2d(20, 20, 3), nn.Conv3d(5, 20, 3), nn.ConvTranspose2d(20, 20, 3)],
    ids=lambda layer: type(layer).__name__,
)
def test_weights_are_drawn_and_biases_are_0(layer):
    draw_weights(nn.Sequential(nn.ReLU(), nn.Sequential(layer)), 0.01)
    count = layer.weight.numel()
    assert layer.weight.std().item() == pytest.approx(0.01, rel=4 / math.sqrt(2 * count))
    assert abs(layer.weight.mean().item()) < 4 * 0.01 / math.sqrt(count)
    assert not layer.bias.any()


def test_a_layer_without_a_bias_has_none_afterwards():
    layer = nn.Linear(3, 3, bias=False)
    draw_weights(layer, 0.01)
    assert layer.bias is None


def test_a_fixed_layer_keeps_its_weights():
    model = nn.Sequential(nn.Linear(3, 3).requires_grad_(False), nn.Linear(3, 3))
    fixed, trained = (layer.weight.detach().clone() for layer in model)
    draw_weights(model, 0.01)
    assert torch.equal(model[0].weight, fixed)
    assert model[0].bias.any()
    assert not torch.equal(model[1].weight, trained)


def test_what_is_no_such_layer_is_left_alone():
    model = nn.ModuleDict({"norm": nn.BatchNorm1d(3), "embedding": nn.Embedding(3, 3)})
    before = {name: value.clone() for name, value in model.state_dict().items()}
    draw_weights(model, 0.01)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("kind", [parametrizations.spectral_norm, parametrizations.weight_norm])
def test_of_a_layer_with_a_parametrization_the_stored_weight_is_drawn(kind):
    layer = kind(nn.Linear(60, 50))
    before = layer.weight.detach().clone()
    draw_weights(layer, 0.01)
    assert not torch.equal(layer.weight, before)
    assert layer.weight.isfinite().all()
    assert not layer.bias.any()


def test_the_draw_is_a_function_of_the_generator():
    layers = nn.Linear(5, 5), nn.Linear(5, 5)
    for layer in layers:
        torch.manual_seed(3)
        draw_weights(layer, 0.01)
    assert torch.equal(layers[0].weight, layers[1].weight)


class Flow(nn.Module):
    """A prior that is a module, with weights that someone has trained."""

    event_shape, support = (
        torch.Size([2]),
        torch.distributions.constraints.independent(torch.distributions.constraints.real, 1),
    )

    def __init__(self):
        super().__init__()
        self.map = nn.Linear(2, 2)

    def sample(self, sample_shape=torch.Size()):
        return self.map(torch.randn(*sample_shape, 2)).detach()


def built(tmp_path, objects, **table):
    registry = Registry.load()
    whole = {
        "network": "mlp(hidden=[30])",
        "discriminator": "mlp(hidden=[30])",
        **table,
        "training": {"device": "cpu", "batch_size": 10, **table.get("training", {})},
    }
    resolved = resolve(parse(whole), registry, objects)
    data = from_arrays(np.random.default_rng(0).normal(size=(100, 8)).astype(np.float32))
    return prepare(resolved, data).model


def test_a_run_draws_all_layers_of_encoder_decoder_and_discriminators(tmp_path):
    model = built(tmp_path, {}, prior="gaussian", training={"initial_std": 0.01})
    layers = [it for it in model.modules() if isinstance(it, nn.Linear)]
    assert len(layers) >= 6
    for layer in layers:
        assert layer.weight.abs().max() < 0.06
        assert layer.weight.std() > 0.005
        assert not layer.bias.any()


def test_the_prior_is_not_the_models_to_draw(tmp_path):
    prior = Flow().requires_grad_(False)
    before = prior.map.weight.detach().clone()
    model = built(
        tmp_path, {"prior.z": prior}, prior={"z": {"component": "python:Flow"}}, training={"initial_std": 0.01}
    )
    assert torch.equal(model.priors["z"].map.weight, before)


def test_cluster_heads_keep_their_standard_normal(tmp_path):
    table = {"prior": "y=categorical(classes=200)+z=gaussian", "recipe": "reduction", "training": {"initial_std": 0.01}}
    model = built(tmp_path, {}, **table)
    assert model.representation.weight.std().item() == pytest.approx(1, rel=0.2)


def test_what_a_component_draws_itself_is_kept_if_nothing_is_said():
    registry = Registry.load()
    resolved = resolve(parse({"prior": "gaussian", "network": "mlp(hidden=[30])"}), registry)
    data = from_arrays(np.zeros((100, 8), np.float32) + np.arange(100)[:, None].astype(np.float32))
    model = build_model(resolved, data.spec, None, build_priors(resolved))
    assert all(it.bias.any() for it in model.modules() if isinstance(it, nn.Linear))
