"""Those weights of losses that may change from epoch to epoch; schedule "joint" only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from aaeframe.configuration.schema import Config, weight_at


@dataclass(frozen=True)
class LossWeights:
    """Tensors on the device, which a recipe reads where they are: so a step that is captured follows a ramp too."""

    config: Config
    reconstruction: Tensor
    generators: Mapping[str, Tensor]
    """Those of the blocks that have one of their own."""

    @classmethod
    def of(cls, config: Config, device: torch.device) -> LossWeights:
        """Those of a configuration, as they are in the first epoch."""
        weighed = [name for name, block in config.prior.items() if block.weight is not None]
        generators = {name: torch.ones((), device=device) for name in weighed}
        weights = cls(config, torch.ones((), device=device), generators)
        weights.set(0)
        return weights

    def set(self, epoch: int) -> None:
        """Make them those of an epoch, counted from 0."""
        epochs = self.config.training.epochs
        self.reconstruction.fill_(weight_at(self.config.training.reconstruction_weight, epoch, epochs))
        for name, weight in self.generators.items():
            weight.fill_(weight_at(self.config.prior[name].weight, epoch, epochs))
