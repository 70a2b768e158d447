"""Networks: which data they serve, and how wide they are."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.distributions import constraints

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
    codes = 100 * torch.randn(20, 2)

    bounded = network(data(1, 8, 8), 2).decoder(codes)
    free = network(data(1, 8, 8, support=constraints.real), 2).decoder(codes)

    assert bool(((bounded >= 0) & (bounded <= 1)).all())
    assert bool((free < 0).any())
    assert bool((free > 1).any())
