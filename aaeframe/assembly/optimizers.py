"""The optimizers of a run."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, Final

import torch
from torch.optim import Optimizer

from aaeframe.configuration.optimizers import OptimizerConfig
from aaeframe.configuration.schema import Config
from aaeframe.errors import BrokenComponent, ConfigError, DeviceError
from aaeframe.training.optimizers import eager

FUSED: Final = frozenset({"adam", "adamw", "sgd"})
"""Optimizers that run fused, on CPUs and GPUs; a captured step reads their learning rate from the device."""


def build_optimizers(config: Config, parameters: Mapping[str, list[torch.nn.Parameter]]) -> dict[str, Optimizer]:
    """The optimizer of each phase over the parameters the recipe gives it, ready to be captured in a CUDA graph.

    Raises BrokenComponent if the recipe gives a phase no parameters. Raises ConfigError if an optimizer refuses its
    options.
    """
    for phase in config.optimizers:
        if not parameters.get(phase):
            raise BrokenComponent(
                f"the recipe {config.recipe.component!r} has the phase {phase!r}, for which its `parameters` gives "
                "nothing to train; override it"
            )
    return {phase: _optimizer(phase, part, parameters[phase]) for phase, part in config.optimizers.items()}


def refuse_uncapturable(config: Config) -> None:
    """DeviceError if an optimizer cannot be captured in a CUDA graph."""
    for phase, part in config.optimizers.items():
        problem = None if _reads_device(part) else f"{part.name} cannot be captured"
        if part.scheduler is not None and part.scheduler.options.get("cycle_momentum"):
            problem = f"a captured step would not see the momentum that {part.scheduler.name} changes"
        if problem is not None:
            raise DeviceError(
                f"optimizers.{phase}: {problem} in a CUDA graph; train with --set training.cuda_graph=false"
            )


def _reads_device(part: OptimizerConfig) -> bool:
    """Whether a step on a GPU reads the learning rate from there."""
    return part.name in FUSED or "capturable" in inspect.signature(part.kind).parameters


def _optimizer(phase: str, part: OptimizerConfig, parameters: list[torch.nn.Parameter]) -> Optimizer:
    on_gpu = any(parameter.is_cuda for parameter in parameters)
    # Captured steps read the rate from the device; on the CPU a number is faster.
    on_device = on_gpu and _reads_device(part)
    rate = torch.tensor(part.lr, device=parameters[0].device) if on_device else part.lr
    switches: dict[str, Any] = {"fused": True} if part.name in FUSED else {}
    if "capturable" in inspect.signature(part.kind).parameters:
        switches["capturable"] = on_gpu
    try:
        return eager(part.kind)(parameters, lr=rate, **part.options, **switches)  # type: ignore[call-arg]  # of its kind
    except (ValueError, TypeError) as error:
        raise ConfigError(
            f"optimizers.{phase}: {part.name} refuses {part.options}: {error}; its options are lr, "
            f"{', '.join(part.known_options())}"
        ) from error
