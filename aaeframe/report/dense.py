"""A dense decoder as a list of layers that a page can compute, with weights in float16."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from aaeframe.model.autoencoder import Autoencoder
from aaeframe.model.representation import ClusterHeads

MOST_WEIGHTS: Final = 3_500_000
"""The largest number of weights of a decoder in a page: 9 MB as text."""
TOLERANCE: Final = 1 / 255
"""The largest difference from the model, in gray levels of images or standard deviations of features."""
PROBES: Final = 64
"""The number of codes with which a decoder is compared with the model."""
ACTIVATIONS: Final = {
    "ReLU": "relu",
    "LeakyReLU": "leaky",
    "Sigmoid": "sigmoid",
    "Tanh": "tanh",
}
"""The activations that a page computes, by the name of the module. The result is compared with the model's."""
NEUTRAL: Final = (nn.Flatten, nn.Unflatten, nn.Identity, nn.Dropout)
"""Modules that change no value in evaluation mode."""


class NotDense(Exception):
    """A decoder that a page cannot compute, with the reason."""


@dataclass(frozen=True, eq=False)
class Layer:
    """activation(scale weight x + bias)."""

    weight: np.ndarray
    """(outputs, inputs), float32 until `halved`, then float16 and at most 1."""
    bias: np.ndarray
    """(outputs,), float32."""
    activation: str = "identity"
    slope: float = 0.0
    """The slope of a leaky ReLU below 0."""
    scale: float = 1.0

    def halved(self) -> Layer:
        """The layer with weights in float16. The scale keeps them in its range."""
        scale = float(np.abs(self.weight).max()) or 1.0
        return replace(self, weight=(self.weight / scale).astype(np.float16), scale=scale)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """(N, inputs) -> (N, outputs), as the page computes it."""
        y = self.scale * (x @ self.weight.astype(np.float32).T) + self.bias
        match self.activation:
            case "relu":
                return np.maximum(y, 0)
            case "leaky":
                return np.where(y < 0, self.slope * y, y)
            case "sigmoid":
                return np.asarray(torch.from_numpy(y).sigmoid().numpy())
            case "tanh":
                return np.tanh(y)
        return np.asarray(y)


def dense_layers(model: Autoencoder, features: np.ndarray | None, codes: Tensor) -> list[Layer]:
    """The layers from the blocks side by side, and a one-hot label where the decoder takes one, to scaled features.

    Args:
        model: the model, in evaluation mode.
        features: the positions of the features that are shown, in a row as one vector; None for all.
        codes: (N, inputs) inputs with which the layers are compared with the model.

    Raises:
        NotDense: the decoder has other layers, is too large, or differs from the model by more than `TOLERANCE`.
    """
    layers = _layers(model.decoder)
    layers[0] = replace(layers[0], weight=layers[0].weight @ _representation(model))
    if features is not None:
        layers[-1] = replace(layers[-1], weight=layers[-1].weight[features], bias=layers[-1].bias[features])
    count = sum(layer.weight.size for layer in layers)
    if count > MOST_WEIGHTS:
        raise NotDense(f"its decoder has {count:,} weights, more than the {MOST_WEIGHTS:,} that fit in a page")
    found = [layer.halved() for layer in layers]
    _compare(model, found, features, codes)
    return found


def apply(layers: Sequence[Layer], x: np.ndarray) -> np.ndarray:
    """Scaled features (N, F) for inputs (N, inputs)."""
    for layer in layers:
        x = layer(x)
    return x


def decoder_input(model: Autoencoder, x: Tensor) -> Tensor:
    """The input of the model's own decoder for (N, inputs), the blocks side by side and the label."""
    weight = torch.from_numpy(_representation(model)).to(x)
    return x @ weight.T


def _layers(decoder: nn.Module) -> list[Layer]:
    found: list[Layer] = []
    for module in _leaves(decoder):
        name = type(module).__name__
        if isinstance(module, NEUTRAL):
            continue
        if isinstance(module, nn.Linear):
            bias = torch.zeros(module.out_features) if module.bias is None else module.bias
            found.append(Layer(_array(module.weight), _array(bias)))
        elif not found or found[-1].activation != "identity":
            raise NotDense(f"its decoder has a layer {name} where a page computes dense layers only")
        elif isinstance(module, nn.BatchNorm1d):
            found[-1] = _normalized(found[-1], module)
        elif name in ACTIVATIONS:
            slope = float(getattr(module, "negative_slope", 0.0))
            found[-1] = replace(found[-1], activation=ACTIVATIONS[name], slope=slope)
        else:
            raise NotDense(f"its decoder has a layer {name}, which a page does not compute")
    if not found:
        raise NotDense("its decoder has no dense layer")
    return found


def _leaves(module: nn.Module) -> Iterator[nn.Module]:
    if isinstance(module, nn.Sequential):
        for part in module:
            yield from _leaves(part)
    else:
        yield module


def _normalized(layer: Layer, norm: nn.BatchNorm1d) -> Layer:
    """A layer and the batch norm after it, in evaluation mode, as one layer."""
    if norm.running_mean is None or norm.running_var is None:
        raise NotDense("its batch norm depends on the other rows of a batch")
    scale = (norm.running_var.double() + norm.eps).rsqrt()
    if norm.weight is not None:
        scale = scale * norm.weight.detach().double()
    shift = torch.zeros_like(scale) if norm.bias is None else norm.bias.detach().double()
    gain, mean = scale.cpu().numpy(), norm.running_mean.double().cpu().numpy()
    bias = (layer.bias - mean) * gain + shift.cpu().numpy()
    return replace(layer, weight=(layer.weight * gain[:, None]).astype(np.float32), bias=bias.astype(np.float32))


def _representation(model: Autoencoder) -> np.ndarray:
    """The linear map (R, inputs) from the blocks side by side to the decoder's input."""
    heads = model.representation
    if not isinstance(heads, ClusterHeads):
        return np.eye(heads.size, dtype=np.float32)
    weight = _array(heads.weight).T
    parts = {heads.class_block: weight, heads.style_block: np.eye(heads.size, dtype=np.float32)}
    return np.concatenate([parts[name] for name in model.priors], axis=1)


def _compare(model: Autoencoder, layers: Sequence[Layer], features: np.ndarray | None, codes: Tensor) -> None:
    """NotDense unless the layers give what the model gives."""
    x = codes[:PROBES].float()
    with torch.no_grad():
        expected = model.decoder(decoder_input(model, x.to(model.device))).flatten(1).cpu().numpy()
    expected = expected if features is None else expected[:, features]
    found = apply(layers, x.cpu().numpy())
    if found.shape != expected.shape:
        raise NotDense(f"its decoder gives {expected.shape[1]} values where its layers give {found.shape[1]}")
    largest = float(np.abs(found - expected).max())
    if not largest <= TOLERANCE:
        raise NotDense(f"its layers in float16 differ from the decoder by {largest:.3g}")


def _array(x: Tensor) -> np.ndarray:
    return x.detach().float().cpu().numpy()
