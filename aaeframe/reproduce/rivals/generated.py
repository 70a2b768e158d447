"""Samples of a trained generator, as the likelihood takes them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from aaeframe.evaluation.likelihood import CHUNK
from aaeframe.reproduce.rivals.settings import GeneratorSettings
from aaeframe.seeds import stream


@dataclass(frozen=True)
class Generated:
    """Samples of a network that makes rows in [0, 1] of noise; of whatever number, the first are the same."""

    network: nn.Module
    """noise (N, settings.noise) -> (N, *shape), on the settings' device and in evaluation mode."""
    settings: GeneratorSettings
    """The settings of the training."""
    count: int

    @torch.no_grad()
    def rows(self, start: int, stop: int) -> Tensor:
        """Generate one chunk; each has a seed of its own."""
        place = self.settings.place
        with stream(self.settings.seed, "likelihood", start, device=place):
            noise = draw_noise(CHUNK, self.settings.noise, place)
        return self.network(noise)[: stop - start]


def draw_noise(count: int, size: int, device: torch.device) -> Tensor:
    """Uniform in [-1, 1], (count, size), from torch's global generator."""
    return 2 * torch.rand(count, size, device=device) - 1


def relu_layers(*widths: int) -> list[nn.Module]:
    """Linear layers from each width to the next, each followed by a ReLU."""
    return [layer for inner, outer in pairwise(widths) for layer in (nn.Linear(inner, outer), nn.ReLU())]
