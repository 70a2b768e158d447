"""The state of optimizers as tensors, and their learning rates."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor
from torch.optim import Optimizer

from aaeframe.storage.checkpoint import tensors_below


def set_rate(optimizer: Optimizer, rate: float) -> None:
    """Set the learning rate. A tensor is set in place, because a captured step reads it there."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


def optimizer_tensors(optimizer: Optimizer) -> dict[str, Tensor]:
    """The tensors of an optimizer's state, by "<parameter>.<name>"."""
    state = optimizer.state_dict()["state"]
    return {
        f"{parameter}.{name}": value
        for parameter, values in state.items()
        for name, value in values.items()
        if isinstance(value, Tensor)
    }


def load_optimizer(optimizer: Optimizer, tensors: Mapping[str, Tensor], prefix: str) -> None:
    """Restore the state of each parameter; rates and other scalars come from the configuration.

    ValueError or IndexError if the tensors do not fit these parameters.
    """
    parameters = [it for group in optimizer.param_groups for it in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors_below(prefix, tensors).items():
        parameter, _, name = key.partition(".")
        if value.dim() and value.shape != parameters[int(parameter)].shape:
            raise ValueError(f"{prefix}{key} has the shape {tuple(value.shape)}")
        state.setdefault(int(parameter), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
