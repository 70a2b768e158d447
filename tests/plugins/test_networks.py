"""Networks: which data they serve, and how wide they are."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.distributions import constraints

from aaeframe.components.options import resolve_component
from aaeframe.components.registry import Registry
from aaeframe.errors import OptionError
from aaeframe.protocols import DataSpec
from aaeframe_plugins.networks.conv import Conv
from aaeframe_plugins.networks.mlp import MLP


def data(*shape, support=constraints.unit_interval):
    return DataSpec(torch.Size(shape), support, torch.zeros(()), torch.ones(()))


def linear_shapes(module):
    return [(layer.in_features, layer.out_features) for layer in module.modules() if isinstance(layer, nn.Linear)]


def test_mlp_has_two_layers_of_1000_each_way_as_in_the_paper():
    network = MLP(data(1, 28, 28), 8)

    assert linear_shapes(network.encoder) == [(784, 1000), (1000, 1000)]
    assert linear_shapes(network.decoder) == [(8, 1000), (1000, 1000), (1000, 784)]


def test_mlp_decoder_has_the_encoders_widths_reversed():
    network = MLP(data(6), 2, hidden=(50, 20))

    assert linear_shapes(network.encoder) == [(6, 50), (50, 20)]
    assert linear_shapes(network.decoder) == [(2, 20), (20, 50), (50, 6)]


def test_mlp_decoder_may_have_widths_of_its_own():
    network = MLP(data(6), 2, hidden=(50, 20), decoder_hidden=(7, 8, 9))

    assert linear_shapes(network.encoder) == [(6, 50), (50, 20)]
    assert linear_shapes(network.decoder) == [(2, 7), (7, 8), (8, 9), (9, 6)]


def test_mlp_decoder_of_no_layers_is_refused():
    with pytest.raises(OptionError, match="decoder_hidden"):
        resolve_component(Registry.load().find("network", "mlp"), {"decoder_hidden": []})


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32), (4, 9, 23), (2, 48, 31)])
@pytest.mark.parametrize("channels", [(4,), (4, 6, 8)])
def test_conv_serves_images_of_any_size_and_channels(shape, channels):
    network = Conv(data(*shape), 3, channels=channels, hidden=12)

    features = network.encoder(torch.rand(2, *shape))
    decoded = network.decoder(torch.randn(2, 3))

    assert features.shape == (2, 12)
    assert decoded.shape == (2, *shape)


@pytest.mark.parametrize("shape", [(10,), (1, 7, 20), (1, 20, 7)])
def test_conv_refuses_what_is_no_image_from_8x8_up(shape):
    with pytest.raises(ValueError, match=r"from 8x8 up, found data of shape .*; use --network mlp"):
        Conv(data(*shape), 2)


@pytest.mark.parametrize("network", [MLP, Conv])
def test_the_support_of_the_data_fixes_the_decoders_range(network):
    torch.manual_seed(0)  # a few decoders have outputs of one sign
    codes = 100 * torch.randn(20, 2)

    bounded = network(data(1, 8, 8), 2).decoder(codes)
    free = network(data(1, 8, 8, support=constraints.real), 2).decoder(codes)

    assert bool(((bounded >= 0) & (bounded <= 1)).all())
    assert bool((free < 0).any())
    assert bool((free > 1).any())


# Batch norm.


def layers(module):
    """The names of all layers that compute something themselves, less the one that ends a decoder."""
    found = [type(it).__name__ for it in module.modules() if not list(it.children())]
    return [name for name in found if not name.endswith("Sigmoid")]


def test_mlp_may_have_batch_norm_before_each_relu_of_the_encoder_or_everywhere():
    hidden = ["Linear", "BatchNorm1d", "ReLU"] * 2
    plain = ["Linear", "ReLU"] * 2
    inwards, everywhere = (MLP(data(6), 2, hidden=(5, 4), batch_norm=it) for it in ("encoder", "everywhere"))
    assert layers(MLP(data(6), 2, hidden=(5, 4)).encoder) == ["Flatten", *plain]
    for network in (inwards, everywhere):
        assert layers(network.encoder) == ["Flatten", *hidden]
    assert layers(inwards.decoder) == [*plain, "Linear", "Unflatten"]
    assert layers(everywhere.decoder) == [*hidden, "Linear", "BatchNorm1d", "Unflatten"]


def test_conv_may_have_batch_norm_before_each_relu_of_the_encoder_or_everywhere():
    def count(module):
        return sum("BatchNorm" in name for name in layers(module)), layers(module).count("ReLU")

    networks = {
        it: Conv(data(1, 9, 11), 2, channels=(3, 4), hidden=5, batch_norm=it) for it in ("encoder", "everywhere")
    }
    for network in networks.values():
        assert count(network.encoder) == (3, 3)
    assert count(networks["encoder"].decoder) == (0, 3)
    assert count(networks["everywhere"].decoder) == (4, 3), "and on the output"
    for network in networks.values():
        for module in (network.encoder, network.decoder):
            found = layers(module)
            assert all(found[i - 1].startswith("BatchNorm") for i, it in enumerate(found) if it == "ReLU") or (
                module is networks["encoder"].decoder
            )


@pytest.mark.parametrize("network", [MLP, Conv])
def test_batch_norm_normalizes_the_minibatch_and_remembers(network):
    normed = network(data(1, 8, 8), 2, batch_norm="everywhere")
    x = torch.rand(50, 1, 8, 8)
    seen = []
    for it in normed.encoder.modules():
        if isinstance(it, nn.BatchNorm1d | nn.BatchNorm2d):
            it.register_forward_hook(lambda _, given, out: seen.append(out))
    normed.encoder(x)
    for out in seen:
        axes = [axis for axis in range(out.ndim) if axis != 1]
        assert torch.allclose(out.mean(axes), torch.zeros(out.shape[1]), atol=1e-4)
    one = normed.eval().encoder(x[:1])
    assert torch.allclose(one, normed.encoder(x)[:1], atol=1e-5), "afterwards a row does not depend on others"


@pytest.mark.parametrize("network", [MLP, Conv])
@pytest.mark.parametrize("batch_norm", ["none", "encoder", "everywhere"])
def test_batch_norm_changes_no_shape_and_no_range(network, batch_norm):
    normed = network(data(1, 9, 8), 2, batch_norm=batch_norm)
    assert normed.encoder(torch.rand(5, 1, 9, 8)).shape == (5, normed.num_features)
    decoded = normed.decoder(100 * torch.randn(5, 2))
    assert decoded.shape == (5, 1, 9, 8)
    assert bool(((decoded >= 0) & (decoded <= 1)).all())


@pytest.mark.parametrize("network", [MLP, Conv])
def test_the_decoders_range_is_computed_in_full_precision(network):
    """A sigmoid in bfloat16 is 1 from 7 on, which no likelihood of a black pixel survives."""
    decoder = network(data(1, 8, 8), 2).decoder
    last = [it for it in decoder.modules() if isinstance(it, nn.Linear | nn.Conv2d)][-1]
    nn.init.zeros_(last.weight)
    nn.init.constant_(last.bias, 7.0)
    with torch.autocast("cpu", torch.bfloat16):
        decoded = decoder(torch.zeros(1, 2))
    assert (1 - decoded).mean().item() == pytest.approx(1 / (1 + math.exp(7.0)), rel=0.05)
