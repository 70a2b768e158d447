"""Loss weights that follow a schedule; schedule "joint" only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from aaeframe.configuration.schema import Config, weight_at


@dataclass(frozen=True)
class LossWeights:
    """Loss weights as tensors on the device, so that a captured step follows a schedule, too."""

    config: Config
    reconstruction: Tensor
    generators: Mapping[str, Tensor]
    """The weights of the blocks that set one."""

    @classmethod
    def of(cls, config: Config, device: torch.device) -> LossWeights:
        """The weights of a configuration in the first epoch."""
        weighed = [name for name, block in config.prior.items() if block.weight is not None]
        generators = {name: torch.ones((), device=device) for name in weighed}
        weights = cls(config, torch.ones((), device=device), generators)
        weights.set(0)
        return weights

    def set(self, epoch: int) -> None:
        """Set the weights to those of an epoch, counted from 0."""
        epochs = self.config.training.epochs
        self.reconstruction.fill_(weight_at(self.config.training.reconstruction_weight, epoch, epochs))
        for name, weight in self.generators.items():
            weight.fill_(weight_at(self.config.prior[name].weight, epoch, epochs))
