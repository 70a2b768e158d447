"""Corruption of the encoder's input in training; the target of the reconstruction stays clean."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import dropout


@dataclass(frozen=True)
class Corruption:
    """Dropout, then Gaussian noise, on scaled rows (paper, appendix A: 20 % dropout for clusters, noise for labels)."""

    noise: float = 0.0
    """Standard deviation, in the model's units."""
    dropout: float = 0.0
    """Probability that a value is set to 0; the others are multiplied by 1 / (1 - dropout)."""

    @property
    def used(self) -> bool:
        """Whether anything is done to the input."""
        return bool(self.noise or self.dropout)

    def __call__(self, x: Tensor) -> Tensor:
        """x (N, *shape), corrupted."""
        if self.dropout:
            x = dropout(x, self.dropout)
        return x + self.noise * torch.randn_like(x) if self.noise else x
