"""The optimizers of a run."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch.optim import SGD, Adam, AdamW, Optimizer

from aaeframe.configuration.schema import AdamConfig, Config, OptimizerConfig
from aaeframe.errors import BrokenComponent


def build_optimizers(config: Config, parameters: Mapping[str, list[torch.nn.Parameter]]) -> dict[str, Optimizer]:
    """The optimizer of each phase over the parameters the recipe gives it, ready to be captured in a CUDA graph.

    BrokenComponent if the recipe gives a phase no parameters.
    """
    for phase in config.optimizers:
        if not parameters.get(phase):
            raise BrokenComponent(
                f"the recipe {config.recipe.component!r} has the phase {phase!r}, for which its `parameters` gives "
                "nothing to train; override it"
            )
    return {phase: _optimizer(part, parameters[phase]) for phase, part in config.optimizers.items()}


def _optimizer(part: OptimizerConfig, parameters: list[torch.nn.Parameter]) -> Optimizer:
    on_gpu = any(parameter.is_cuda for parameter in parameters)
    # Captured steps read the rate from the device; on the CPU a number is faster.
    rate = torch.tensor(part.lr, device=parameters[0].device) if on_gpu else part.lr
    if isinstance(part, AdamConfig):
        kind = AdamW if part.name == "adamw" else Adam
        betas, decay = part.betas, part.weight_decay
        return kind(parameters, lr=rate, betas=betas, weight_decay=decay, fused=True, capturable=on_gpu)
    return SGD(parameters, lr=rate, momentum=part.momentum, weight_decay=part.weight_decay, fused=True)
