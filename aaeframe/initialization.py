"""The weights that training starts from, where a run sets them and not each component."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized


def draw_weights(model: nn.Module, std: float) -> None:
    """Draw the weights of every linear layer and convolution from N(0, std²), and set their biases to 0.

    From torch's global generator. The paper's reproductions agree on 0.01.
    """
    for layer in model.modules():
        if isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d):
            nn.init.normal_(_stored_weight(layer), std=std)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def _stored_weight(layer: nn.Module) -> Tensor:
    """The weight itself; of a layer under spectral norm, what its weight is computed from."""
    name = "parametrizations.weight.original" if is_parametrized(layer, "weight") else "weight"
    return layer.get_parameter(name)
