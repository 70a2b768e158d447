"""The generative adversarial network in pixel space: a generator of rows against a discriminator of rows."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from aaeframe.data import Dataset
from aaeframe.evaluation.likelihood import Progress
from aaeframe.losses.adversarial import AdversarialLoss, Segment
from aaeframe.recipes.steps import descend, frozen
from aaeframe.reproduce.rivals.settings import GeneratorSettings, as_unit, draw_noise, require_unit_interval, train
from aaeframe.seeds import stream

DEFAULT: Final = GeneratorSettings(
    epochs=55, batch_size=100, hidden=(512, 512), noise=20, learning_rate=2e-4, dropout=0.3
)
"""About 10 minutes for MNIST on one core of a CPU."""
BETAS: Final = (0.5, 0.999)
"""Adam's decay rates (arXiv 1511.06434)."""


def fit(dataset: Dataset, settings: GeneratorSettings, progress: Progress) -> nn.Module:
    """A generator trained on a data set, in evaluation mode: noise (N, noise) -> (N, *shape) in [0, 1].

    From arXiv 1406.2661 are the game, the non-saturating loss, the uniform noise, the sigmoid and the discriminator's
    dropout. Ours are the sizes, which the paper's table does not give, ReLU in place of maxout, and Adam. The
    discriminator is as wide as the generator, from the last layer to the first. The generator has batch norm, without
    which its samples became few and alike. DataError if the data is not in [0, 1].
    """
    require_unit_interval(dataset)
    with stream(settings.seed, "gan", device=settings.place):
        game = Game.start(dataset.spec.shape, settings)
        train(
            lambda x: game.step(as_unit(x, dataset)), dataset.train, settings, "generator and discriminator", progress
        )
    return game.generator.eval()


def generator_network(shape: torch.Size, settings: GeneratorSettings) -> nn.Module:
    """Noise (N, noise) -> (N, *shape) in [0, 1], through batch-normalized ReLU layers."""
    hidden = [
        layer
        for inner, outer in pairwise((settings.noise, *settings.hidden))
        for layer in (nn.Linear(inner, outer), nn.BatchNorm1d(outer), nn.ReLU())
    ]
    return nn.Sequential(
        *hidden, nn.Linear(settings.hidden[-1], shape.numel()), nn.Sigmoid(), nn.Unflatten(1, shape)
    ).to(settings.place)


class Discriminator(nn.Module):
    """The logit of a row being data, through ReLU layers with dropout: (N, *shape) in [0, 1] -> (N,)."""

    def __init__(self, shape: torch.Size, settings: GeneratorSettings) -> None:
        super().__init__()
        hidden = [
            layer
            for inner, outer in pairwise((shape.numel(), *reversed(settings.hidden)))
            for layer in (nn.Linear(inner, outer), nn.ReLU(), nn.Dropout(settings.dropout))
        ]
        self.layers = nn.Sequential(nn.Flatten(), *hidden, nn.Linear(settings.hidden[0], 1)).to(settings.place)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Rows (N, *shape) -> logits (N,); there are no labels."""
        return self.layers(2 * z - 1).squeeze(-1)


@dataclass(frozen=True)
class Game:
    """Both networks and their optimizers."""

    generator: nn.Module
    discriminator: Discriminator
    generator_optimizer: Optimizer
    discriminator_optimizer: Optimizer
    noise: int
    adversarial: AdversarialLoss

    @classmethod
    def start(cls, shape: torch.Size, settings: GeneratorSettings) -> Game:
        """Fresh networks for rows of a shape, by torch's global generator."""
        generator, discriminator = generator_network(shape, settings), Discriminator(shape, settings)
        of_generator, of_discriminator = (
            Adam(network.parameters(), lr=settings.learning_rate, betas=BETAS, fused=True)
            for network in (generator, discriminator)
        )
        return cls(generator, discriminator, of_generator, of_discriminator, settings.noise, AdversarialLoss())

    def step(self, x: Tensor) -> Tensor:
        """Update the discriminator on rows x (N, *shape) and as many samples, then the generator on those; its loss."""
        fake = self.generator(draw_noise(len(x), self.noise, x.device))
        told_apart = [Segment(x, None, from_prior=True), Segment(fake.detach(), None, from_prior=False)]
        descend(self.adversarial.discriminator(self.discriminator, told_apart).loss, self.discriminator_optimizer)
        with frozen(self.discriminator):
            self.discriminator.train()  # what it learned with dropout it judges with dropout
            passed_off = [Segment(fake, None, from_prior=False)]
            loss = self.adversarial.generator(self.discriminator, passed_off).loss
        descend(loss, self.generator_optimizer)
        return loss.detach()
