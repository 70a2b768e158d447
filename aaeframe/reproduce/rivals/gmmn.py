"""GMMN+AE: an autoencoder, and a network that makes codes like its codes by their maximum mean discrepancy."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from typing import Final

import torch
from torch import Tensor, nn
from torch.optim import Adam

from aaeframe.data import Dataset, Split
from aaeframe.errors import DataError
from aaeframe.evaluation.likelihood import Progress
from aaeframe.losses.reconstruction import reconstruction_loss
from aaeframe.recipes.steps import descend
from aaeframe.reproduce.rivals.settings import (
    RESIDENT,
    GeneratorSettings,
    as_unit,
    draw_noise,
    require_unit_interval,
    train,
)
from aaeframe.seeds import stream
from aaeframe.training.batches import ResidentRows

DEFAULT: Final = GeneratorSettings(
    epochs=120, batch_size=1000, hidden=(64, 256, 256, 1024), noise=10, learning_rate=1e-3, dropout=0.1
)
"""About 10 minutes for MNIST on one core of a CPU."""
CODE: Final = 32
"""Units of the code, each in [0, 1]."""
AUTOENCODER_PART: Final = 0.25
"""Its epochs, as a part of the generator's: at 100 rows at a time it takes ten times as many steps in each."""
AUTOENCODER_BATCH: Final = 100
"""Rows at a time for the autoencoder; the discrepancy wants many at a time, which `batch_size` is."""
SCALES: Final = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Bandwidths of the kernels, as parts of the median distance between codes."""
AT_ONCE: Final = 1000
"""Rows that are encoded at a time; and codes, the first ones, from which the median distance is taken."""


def fit(dataset: Dataset, settings: GeneratorSettings, progress: Progress) -> nn.Module:
    """A generator trained on a data set, in evaluation mode: noise (N, noise) -> code -> (N, *shape) in [0, 1].

    From arXiv 1502.02761 are the two stages, the sigmoid code with dropout, the uniform noise and minibatches of 1000.
    So is the loss, the root of the biased estimate under a mixture of Gaussian kernels. Ours are the sizes, Adam, and
    bandwidths by the median distance. The autoencoder has one ReLU layer on either side of its code, as wide as the
    generator's last. Its loss is half the squared error, and it is trained at once, not layer by layer. DataError if
    the data is not in [0, 1].
    """
    require_unit_interval(dataset)
    with stream(settings.seed, "gmmn", device=settings.place):
        encoder, decoder = _networks(dataset.spec.shape, settings)
        _train_autoencoder(encoder, decoder, dataset, settings, progress)
        codes = _codes(encoder, dataset, settings)
        generator = _generator(settings)
        _train_generator(generator, codes, settings, progress)
    return nn.Sequential(generator, decoder).eval()


def mmd(a: Tensor, b: Tensor, bandwidths: tuple[float, ...]) -> Tensor:
    """The maximum mean discrepancy of a (N, D) and b (M, D), differentiable.

    MMD² = mean k(a, a) + mean k(b, b) - 2 mean k(a, b) over all pairs, each row with itself too. k is the sum of the
    kernels exp(-||x - y||² / (2 s²)) over the bandwidths s.
    """
    squared = _kernel_mean(a, a, bandwidths) + _kernel_mean(b, b, bandwidths) - 2 * _kernel_mean(a, b, bandwidths)
    return squared.clamp_min(torch.finfo(squared.dtype).tiny).sqrt()  # the root has no slope at 0


def _kernel_mean(a: Tensor, b: Tensor, bandwidths: tuple[float, ...]) -> Tensor:
    # Not torch.cdist, whose slope is not finite between a row and itself.
    squares = a.square().sum(1)[:, None] + b.square().sum(1) - 2 * a @ b.T
    return torch.stack([(squares / (-2 * s**2)).exp().mean() for s in bandwidths]).sum()


def _networks(shape: torch.Size, settings: GeneratorSettings) -> tuple[nn.Module, nn.Module]:
    """The encoder, (N, *shape) -> (N, CODE), and the decoder, back; the latter has the code's dropout."""
    size, width = shape.numel(), settings.hidden[-1]
    encoder = nn.Sequential(nn.Flatten(), *_relu_layers(size, width), nn.Linear(width, CODE), nn.Sigmoid())
    out = (nn.Linear(width, size), nn.Sigmoid(), nn.Unflatten(1, shape))
    decoder = nn.Sequential(nn.Dropout(settings.dropout), *_relu_layers(CODE, width), *out)
    return encoder.to(settings.place), decoder.to(settings.place)


def _relu_layers(*widths: int) -> list[nn.Module]:
    """Linear layers from each width to the next, each followed by a ReLU."""
    return [layer for inner, outer in pairwise(widths) for layer in (nn.Linear(inner, outer), nn.ReLU())]


def _generator(settings: GeneratorSettings) -> nn.Module:
    """Noise (N, noise) -> codes (N, CODE).

    The weights are He's (arXiv 1502.01852), which keep the noise's spread: from torch's, all codes begin nearly alike.
    """
    layers = _relu_layers(settings.noise, *settings.hidden)
    for layer in layers:
        if isinstance(layer, nn.Linear):
            nn.init.kaiming_normal_(layer.weight)
            nn.init.zeros_(layer.bias)
    return nn.Sequential(*layers, nn.Linear(settings.hidden[-1], CODE), nn.Sigmoid()).to(settings.place)


def _train_autoencoder(
    encoder: nn.Module, decoder: nn.Module, dataset: Dataset, settings: GeneratorSettings, progress: Progress
) -> None:
    optimizer = Adam([*encoder.parameters(), *decoder.parameters()], lr=settings.learning_rate, fused=True)
    own = replace(settings, epochs=math.ceil(AUTOENCODER_PART * settings.epochs), batch_size=AUTOENCODER_BATCH)

    def step(rows: Tensor) -> Tensor:
        x = as_unit(rows, dataset)
        loss = reconstruction_loss(decoder(encoder(x)), x)
        descend(loss, optimizer)
        return loss.detach()

    train(step, dataset.train, own, "autoencoder", progress)


@torch.no_grad()
def _codes(encoder: nn.Module, dataset: Dataset, settings: GeneratorSettings) -> Tensor:
    """The codes of all training rows, (N, CODE), on the CPU."""
    rows = ResidentRows(dataset.train, settings.place, RESIDENT)
    parts = torch.arange(len(dataset.train)).split(AT_ONCE)
    return torch.cat([encoder(as_unit(rows[part], dataset)).cpu() for part in parts])


def _train_generator(generator: nn.Module, codes: Tensor, settings: GeneratorSettings, progress: Progress) -> None:
    optimizer = Adam(generator.parameters(), lr=settings.learning_rate, fused=True)
    median = _median_distance(codes)
    bandwidths = tuple(median * scale for scale in SCALES)

    def step(code: Tensor) -> Tensor:
        loss = mmd(generator(draw_noise(len(code), settings.noise, code.device)), code, bandwidths)
        descend(loss, optimizer)
        return loss.detach()

    train(step, Split(codes.numpy()), settings, "generator", progress)


def _median_distance(codes: Tensor) -> float:
    """The median distance between different codes. DataError if there are none: all rows of the data are one."""
    distances = torch.pdist(codes[:AT_ONCE])
    apart = distances[distances > 0]
    if len(apart) == 0:
        raise DataError("the autoencoder has one code for all rows: there is no distribution to learn; give other rows")
    return apart.median().item()
