"""The state of optimizers as tensors, and their learning rates."""

from __future__ import annotations

import inspect
import math
import os
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final, SupportsIndex, TypeAlias, TypeVar

import torch
from torch import Tensor
from torch.optim import Optimizer

from aaeframe.configuration.optimizers import OptimizerConfig
from aaeframe.configuration.schema import Config
from aaeframe.errors import ConfigError
from aaeframe.storage.checkpoint import tensors_below

Settings: TypeAlias = Mapping[str, Any]
"""The learning rate of an epoch, and the momentum or betas where a scheduler changes them."""
Schedule: TypeAlias = Callable[[int], Settings]
"""The settings of each epoch, counted from 0."""

GUARDED: Final = ("add_param_group", "load_state_dict", "state_dict", "step", "zero_grad")
"""The methods of optimizers that torch guards against being compiled."""
HOME_OF_TORCH: Final = f"{Path(torch.__file__).parent}{os.sep}"

Kind = TypeVar("Kind", bound=Optimizer)


def eager(kind: type[Kind]) -> type[Kind]:
    """The same optimizer for steps that are not compiled: a subclass of the same name that gives the same numbers.

    Torch's guards import torch._dynamo at their first call, which takes two seconds. They keep the method as it was
    written as `__wrapped__`. What others have put around a method stays.
    """
    known: Any = kind  # mypy looks for the hash of an instance
    return _eager(known, tuple(inspect.unwrap(getattr(kind, name), stop=_by_others) for name in GUARDED))


@cache
def _eager(kind: type[Kind], functions: tuple[Callable[..., Any], ...]) -> type[Kind]:
    methods = dict(zip(GUARDED, functions, strict=True))
    methods["step"] = torch.no_grad()(methods["step"])  # the guard of a step also switches gradients off
    return type(kind.__name__, (kind,), {**methods, "__reduce_ex__": _reduced})


def _reduced(optimizer: Optimizer, protocol: SupportsIndex) -> tuple[Any, ...]:
    """The optimizer for pickle and copies, which find its class by the kind below it."""
    plain: Any = object.__reduce_ex__(optimizer, max(2, int(protocol)))
    return _empty, (type(optimizer).__base__,), *plain[2:]


def _empty(kind: type[Kind]) -> Kind:
    """An optimizer without its state."""
    found = eager(kind)
    return found.__new__(found)


def _by_others(function: Callable[..., Any]) -> bool:
    return not function.__code__.co_filename.startswith(HOME_OF_TORCH)


def schedules(config: Config) -> dict[str, Schedule]:
    """The schedule of each phase; ConfigError if a scheduler refuses its options or the number of epochs."""
    return {phase: _schedule(phase, part, config.training.epochs) for phase, part in config.optimizers.items()}


def _schedule(phase: str, part: OptimizerConfig, epochs: int) -> Schedule:
    if part.scheduler is None:
        return lambda epoch: {"lr": part.at(epoch, epochs)}
    settings = _scheduled(f"optimizers.{phase}.scheduler", part, epochs)
    return settings.__getitem__


def _scheduled(place: str, part: OptimizerConfig, epochs: int) -> list[Settings]:
    """The settings of every epoch, found by stepping torch's scheduler over an optimizer of one number."""
    assert part.scheduler is not None
    stand_in = eager(part.kind)([torch.nn.Parameter(torch.zeros(1))], lr=part.lr, **part.options)  # type: ignore[call-arg]
    found: list[Settings] = []
    try:
        scheduler = part.scheduler.kind(stand_in, **part.scheduler.options)
        stand_in.step()  # without gradients; torch warns of a scheduler that steps first
        for epoch in range(epochs):
            if epoch:
                scheduler.step()
            group = stand_in.param_groups[0]
            found.append({name: group[name] for name in ("lr", "momentum", "betas") if name in group})
    except (ValueError, TypeError, ArithmeticError) as error:
        raise ConfigError(
            f"{place}: {part.scheduler.name} refuses {part.scheduler.options} for {part.name} and {epochs} epochs: "
            f"{error}; its options are {', '.join(part.scheduler.known_options())}"
        ) from error
    for epoch, settings in enumerate(found, 1):
        if not (math.isfinite(settings["lr"]) and settings["lr"] >= 0):
            raise ConfigError(
                f"{place}: {part.scheduler.name} gives the learning rate {settings['lr']} in epoch {epoch}"
            )
    return found


def change(optimizer: Optimizer, settings: Settings) -> None:
    """Change the settings of an optimizer. A tensor is set in place, because a captured step reads it there."""
    for group in optimizer.param_groups:
        for name, value in settings.items():
            if isinstance(group[name], Tensor):
                group[name].fill_(value)
            else:
                group[name] = value


def optimizer_tensors(optimizer: Optimizer) -> dict[str, Tensor]:
    """The tensors of an optimizer's state, by "<parameter>.<name>". TypeError if anything else is in it."""
    state = optimizer.state_dict()["state"]
    values = {f"{parameter}.{name}": it for parameter, values in state.items() for name, it in values.items()}
    if others := [name for name, it in values.items() if not isinstance(it, Tensor)]:
        raise TypeError(f"the state of {type(optimizer).__name__} has values that are not tensors: {', '.join(others)}")
    return values


def load_optimizer(optimizer: Optimizer, tensors: Mapping[str, Tensor], prefix: str) -> None:
    """Restore the state of each parameter; rates and other scalars come from the configuration.

    ValueError or LookupError if the tensors are not the state of this optimizer for these parameters.
    """
    parameters = dict(enumerate(it for group in optimizer.param_groups for it in group["params"]))
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors_below(prefix, tensors).items():
        parameter, _, name = key.partition(".")
        state.setdefault(int(parameter), {})[name] = value
    expected: dict[torch.Size, dict[str, torch.Size]] = {}
    for index, values in state.items():
        shape = parameters[index].shape
        if shape not in expected:
            expected[shape] = _state_shapes(optimizer, parameters[index])
        found = {name: it.shape for name, it in values.items()}
        if found != expected[shape]:
            raise ValueError(
                f"{prefix}{index} holds {_in_words(found)}, where {type(optimizer).__name__} keeps "
                f"{_in_words(expected[shape])}"
            )
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _state_shapes(optimizer: Optimizer, parameter: Tensor) -> dict[str, torch.Size]:
    """The shapes of the state that an optimizer of this kind and these settings keeps for a parameter, by one step.

    The settings are those of now: a scheduler may have given momentum to an optimizer that began without.
    """
    kind, settings = type(optimizer), optimizer.param_groups[0]
    taken = inspect.signature(kind).parameters.keys() & settings.keys() - {"params"}
    like = torch.zeros_like(parameter, requires_grad=True)
    like.grad = torch.zeros_like(like)
    fresh = kind([like], **{name: settings[name] for name in taken})
    fresh.step()
    return {name: it.shape for name, it in fresh.state[like].items()}


def _in_words(shapes: Mapping[str, torch.Size]) -> str:
    return ", ".join(f"{name} {tuple(shape)}" for name, shape in sorted(shapes.items())) or "nothing"
