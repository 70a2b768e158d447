from __future__ import annotations

import numpy as np
import pytest
import torch
from reported_runs import trained
from torch import nn

from aaeframe.report import dense
from aaeframe.report.dense import NotDense, apply, dense_layers

TWO = "y=categorical(classes=2)+z=gaussian(size=3)"
RUNS = {
    "two blocks": {"prior": TWO, "recipe": "clustering"},
    "batch norm": {"network": "mlp(hidden=[8, 7], batch_norm='everywhere')"},
    "labels": {"recipe": "supervised"},
    "cluster heads": {"prior": TWO, "recipe": "reduction", "labels": 20},
}


def inputs(run, count=100):
    """Inputs of a decoder, and what the model decodes them to, in scaled features."""
    model, labels = run.model, None
    code = {name: torch.randn(count, *prior.event_shape) for name, prior in model.priors.items()}
    parts = [code[name].flatten(1) for name in model.priors]
    if model.representation.takes_labels:
        labels = torch.arange(count) % model.num_classes
        parts.append(torch.eye(model.num_classes)[labels])
    return torch.cat(parts, 1), model.scale(run.decode(code, labels)).flatten(1).numpy()


@pytest.mark.parametrize("options", RUNS.values(), ids=RUNS)
def test_layers_decode_as_the_model_does(options):
    run = trained(**options)
    x, expected = inputs(run)

    found = apply(dense_layers(run.model, None, x), x.numpy())

    np.testing.assert_allclose(found, expected, atol=dense.TOLERANCE)


def test_only_the_features_that_are_shown_are_computed():
    run = trained()
    x, expected = inputs(run)

    layers = dense_layers(run.model, np.array([4, 1]), x)

    assert layers[-1].weight.shape == (2, 8)
    np.testing.assert_allclose(apply(layers, x.numpy()), expected[:, [4, 1]], atol=dense.TOLERANCE)


def test_weights_beyond_the_range_of_float16_keep_their_values():
    run = trained()
    with torch.no_grad():
        run.model.decoder[0].weight *= 1e6
        run.model.decoder[2].weight /= 1e6
        run.model.decoder[0].bias *= 1e6
    x, expected = inputs(run)

    layers = dense_layers(run.model, None, x)

    assert layers[0].weight.dtype == np.float16
    np.testing.assert_allclose(apply(layers, x.numpy()), expected, atol=dense.TOLERANCE)


@pytest.mark.parametrize("activation", [nn.LeakyReLU(0.3), nn.Tanh(), nn.Sigmoid()], ids=["leaky", "tanh", "sigmoid"])
def test_other_activations_are_computed(activation):
    run = trained()
    run.model.decoder[1] = activation
    x, expected = inputs(run)

    np.testing.assert_allclose(apply(dense_layers(run.model, None, x), x.numpy()), expected, atol=dense.TOLERANCE)


class Sigmoid(nn.Module):
    """Another function under a known name."""

    def forward(self, x):
        return 2 * x.sigmoid()


@pytest.mark.parametrize(
    ("module", "reason"),
    [(nn.GELU(), "a layer GELU"), (Sigmoid(), "differ from the decoder"), (nn.Conv1d(8, 8, 1), "a layer Conv1d")],
    ids=["unknown activation", "same name", "convolution"],
)
def test_a_decoder_that_a_page_cannot_compute_says_why(module, reason):
    run = trained()
    x, _ = inputs(run)
    run.model.decoder[1] = module

    with pytest.raises(NotDense, match=reason):
        dense_layers(run.model, None, x)


def test_a_decoder_that_is_too_large_says_so(monkeypatch):
    run = trained()
    x, _ = inputs(run)
    monkeypatch.setattr(dense, "MOST_WEIGHTS", 40)

    with pytest.raises(NotDense, match=r"64 weights, more than the 40"):
        dense_layers(run.model, None, x)
