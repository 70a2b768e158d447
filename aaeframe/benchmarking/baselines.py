"""The training step as one would write it with torch alone, after the usual scripts."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.optim import Adam

from aaeframe.benchmarking.sizes import Sizes

Losses: TypeAlias = dict[str, Tensor]


class PlainEager:
    """An adversarial autoencoder as a script: `nn.Sequential`, `BCEWithLogitsLoss`, `Adam` as torch sets it up.

    Equal to our recipe `unsupervised` with a deterministic encoder and a Gaussian prior: the networks, the losses, the
    batch and its place on the device, the schedule (reconstruction, discriminator, generator; or one encoding for all
    in `joint_step`), the learning rate, the order of updates. Not equal, because scripts are so: the discriminator is
    called on real and on fake codes separately; the codes are computed anew for the generator; the discriminator
    collects gradients in the generator's turn which the next turn throws away; the optimizers are not fused.
    In a script's favor: the discriminator's codes are computed without gradient, and it keeps no statistics. In bf16
    both run under autocast that casts weights at each use, as a cache would hold weights from before an update.
    """

    def __init__(
        self, sizes: Sizes, device: torch.device, compiled: Callable[[nn.Module], nn.Module] = lambda it: it
    ) -> None:
        width, code = sizes.width, sizes.code
        encoder = nn.Sequential(*_layers(sizes.pixels, width, code)).to(device)
        decoder = nn.Sequential(*_layers(code, width, sizes.pixels), nn.Sigmoid()).to(device)
        discriminator = nn.Sequential(*_layers(code, width, 1)).to(device)
        self.parts = nn.ModuleDict({"encoder": encoder, "decoder": decoder, "discriminator": discriminator})
        rate, betas = 1e-3, (0.5, 0.999)
        self.autoencoder_optimizer = Adam([*encoder.parameters(), *decoder.parameters()], lr=rate, betas=betas)
        self.discriminator_optimizer = Adam(discriminator.parameters(), lr=rate, betas=betas)
        self.generator_optimizer = Adam(encoder.parameters(), lr=rate, betas=betas)
        self.encoder, self.decoder = compiled(encoder), compiled(decoder)
        self.discriminator = compiled(discriminator)
        self.bce = nn.BCEWithLogitsLoss()
        self.code = code

    def step(self, pixels: Tensor) -> Losses:
        """The paper's schedule on one minibatch, (N, 1, side, side) uint8."""
        x = pixels.flatten(1).float() / 255

        self.autoencoder_optimizer.zero_grad()
        reconstruction = self.reconstruction(self.decoder(self.encoder(x)), x)
        reconstruction.backward()
        self.autoencoder_optimizer.step()

        with torch.no_grad():
            fake = self.encoder(x)
        discriminator = self.discriminator_step(fake)

        self.generator_optimizer.zero_grad()
        logits = self.discriminator(self.encoder(x))
        generator = self.bce(logits, torch.ones_like(logits))
        generator.backward()
        self.generator_optimizer.step()
        return {"reconstruction": reconstruction, "discriminator": discriminator, "generator": generator}

    def joint_step(self, pixels: Tensor) -> Losses:
        """One encoding: the discriminator's turn, then one update on reconstruction and generator loss together."""
        x = pixels.flatten(1).float() / 255
        z = self.encoder(x)
        discriminator = self.discriminator_step(z.detach())

        self.autoencoder_optimizer.zero_grad()
        logits = self.discriminator(z)
        generator = self.bce(logits, torch.ones_like(logits))
        reconstruction = self.reconstruction(self.decoder(z), x)
        (reconstruction + generator).backward()
        self.autoencoder_optimizer.step()
        return {"reconstruction": reconstruction, "discriminator": discriminator, "generator": generator}

    def discriminator_step(self, fake: Tensor) -> Tensor:
        """Tell codes from samples of the prior."""
        self.discriminator_optimizer.zero_grad()
        real = torch.randn_like(fake)
        on_real, on_fake = self.discriminator(real), self.discriminator(fake)
        loss = self.bce(on_real, torch.ones_like(on_real)) + self.bce(on_fake, torch.zeros_like(on_fake))
        loss.backward()
        self.discriminator_optimizer.step()
        return loss

    @staticmethod
    def reconstruction(x_hat: Tensor, x: Tensor) -> Tensor:
        """Half the squared error of an image, averaged over images: our reconstruction loss."""
        return 0.5 * ((x_hat - x) ** 2).sum(1).mean()


def _layers(inner: int, width: int, outer: int) -> list[nn.Module]:
    return [
        *(nn.Linear(inner, width), nn.ReLU()),
        *(nn.Linear(width, width), nn.ReLU()),
        nn.Linear(width, outer),
    ]
