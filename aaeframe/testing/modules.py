"""Requirements on every trained and saved module: gradients, state, device, rows independent of each other."""

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


def require_device(module: nn.Module, outputs: Callable[[torch.device], Iterable[Tensor]], name: str) -> str | None:
    """AssertionError unless a module that was moved to another device computes there alone.

    The device is a GPU, or torch's "meta", which has shapes and no values. Returns the reason if "meta" lacks an
    operation that the module needs.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "meta")
    advice = "make tensors with device=x.device, and move none to the CPU"
    module.to(device)
    try:
        found = list(outputs(device))
    except RuntimeError as error:  # NotImplementedError is one
        if isinstance(error, NotImplementedError) and "copy out of meta" not in str(error):
            return f"the device {device} lacks an operation: {error}"
        raise AssertionError(f"{name} fails after it was moved to {device}: {error}. {advice}") from error
    strayed = sorted({str(it.device) for it in found if it.device.type != device.type})
    require(not strayed, f"{name} was moved to {device}, and gives tensors on {', '.join(strayed)}: {advice}")
    return None


def require_independent_rows(function: Callable[..., Tensor], *inputs: Tensor, name: str) -> None:
    """AssertionError unless each row gives the same result alone and in its batch."""
    together = function(*inputs)
    for row in range(len(together)):
        alone = function(*(value[row : row + 1] for value in inputs))
        require_equal(
            alone, together[row : row + 1], f"in evaluation mode, {name} of a row depends on the rest of its batch"
        )
