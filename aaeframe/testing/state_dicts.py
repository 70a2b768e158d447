"""Requirements on every trained and saved module: gradients, state, rows independent of each other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from aaeframe.testing.case import require


def require_module(component: Any, name: str) -> Any:
    """AssertionError unless the component is a module, which the framework can move, train and save."""
    kind = type(component).__name__
    require(isinstance(component, nn.Module), f"{name} must be an nn.Module, to be trained and saved, not {kind}")
    return component


def require_tensor(value: object, shape: tuple[int, ...], name: str) -> None:
    """AssertionError unless the value is a finite float32 tensor of this shape."""
    if not isinstance(value, Tensor):
        raise AssertionError(f"{name} must be a tensor, not {type(value).__name__}")
    require(tuple(value.shape) == shape, f"{name} must have shape {shape}, not {tuple(value.shape)}")
    require(value.dtype == torch.float32, f"{name} must be float32 for float32 input, not {value.dtype}")
    require(bool(value.isfinite().all()), f"{name} must be finite")


def require_equal(found: Tensor, expected: Tensor, message: str) -> None:
    """AssertionError unless the tensors are equal up to rounding."""
    close = found.shape == expected.shape and torch.allclose(found, expected, rtol=1e-4, atol=1e-5)
    require(close, message)


def require_gradients(outputs: Iterable[Tensor], inputs: Mapping[str, Tensor], *modules: nn.Module) -> None:
    """AssertionError unless a gradient reaches every named input and every trainable parameter of the modules.

    Each output has random weights, because the sum of a softmax, for example, has no gradient.
    """
    for leaf in chain(inputs.values(), *(module.parameters() for module in modules)):
        leaf.grad = None
    torch.stack([(output * torch.randn_like(output)).sum() for output in outputs]).sum().backward()
    trainable = (
        (f"the parameter {name}", parameter)
        for module in modules
        for name, parameter in module.named_parameters()
        if parameter.requires_grad
    )
    for name, leaf in chain(inputs.items(), trainable):
        require(leaf.grad is not None and bool(leaf.grad.any()), f"no gradient reaches {name}")
        require(leaf.grad is not None and bool(leaf.grad.isfinite().all()), f"the gradient of {name} is not finite")


def hand_over_state(source: nn.Module, target: nn.Module) -> None:
    """Save the state of one module as a checkpoint would, and load it into another."""
    state = source.state_dict()
    strange = [name for name, value in state.items() if not isinstance(value, Tensor)]
    require(not strange, f"the state_dict must hold tensors only: {', '.join(strange)}")
    content = safetensors.torch.save({name: value.contiguous().clone() for name, value in state.items()})
    try:
        target.load_state_dict(safetensors.torch.load(content))
    except RuntimeError as error:
        raise AssertionError(f"a second instance does not load the state_dict: {error}") from error


def require_independent_rows(function: Callable[..., Tensor], *inputs: Tensor, name: str) -> None:
    """AssertionError unless each row gives the same result alone and in its batch."""
    together = function(*inputs)
    for row in range(len(together)):
        alone = function(*(value[row : row + 1] for value in inputs))
        require_equal(alone, together[row : row + 1], f"{name} of a row depends on the rest of its batch")
