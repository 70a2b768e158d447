"""Initial weights set by the run instead of by each component."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.utils.parametrize import is_parametrized

from aaeframe.errors import ConfigError


def draw_weights(model: nn.Module, std: float) -> None:
    """Draw the weights of every trained linear layer and convolution from N(0, std²), and set their biases to 0.

    Layers without a parameter that requires a gradient are fixed, and keep their weights.
    Uses torch's global generator. Reproductions of the paper agree on 0.01.
    """
    for layer in model.modules():
        if isinstance(layer, nn.Linear | _ConvNd) and any(it.requires_grad for it in layer.parameters()):
            _draw_weight(layer, std)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


@torch.no_grad()
def _draw_weight(layer: nn.Linear | _ConvNd, std: float) -> None:
    drawn = torch.empty_like(layer.weight).normal_(std=std)
    if is_parametrized(layer, "weight"):  # spectral or weight norm: assigning sets the original parameters
        layer.weight = drawn
    elif "weight" in dict(layer.named_parameters(recurse=False)):
        layer.weight.copy_(drawn)
    else:
        raise ConfigError(
            f"training.initial_std cannot set the weight of {layer}, which a hook computes; leave it out, or use "
            "torch.nn.utils.parametrizations"
        )
