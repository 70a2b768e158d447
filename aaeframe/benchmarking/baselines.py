"""The training step as one would write it with torch alone, after the usual scripts; and the same script compiled."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from inspect import unwrap
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.optim import Adam

from aaeframe.benchmarking.sizes import Sizes
from aaeframe.training.cuda_graph import StepLosses


class PlainEager:
    """An adversarial autoencoder as a script: `nn.Sequential`, `BCEWithLogitsLoss`, `Adam` with torch's defaults.

    It is compared with the recipe `unsupervised`, with a deterministic encoder and a Gaussian prior. Equal are the
    networks, the losses, the batch on the device, the schedule, the learning rate and the order of updates. The
    schedule is reconstruction, discriminator, generator, or one encoding for all in `joint_step`. Not equal, as in
    usual scripts: the discriminator is called separately on real and fake codes, and the codes are recomputed for the
    generator. The discriminator collects gradients in the generator's step that the next step discards. The optimizers
    are not fused.

    In the script's favor: the discriminator's codes are computed without gradient, and it computes no statistics. In
    bf16 both run under autocast that casts weights at each use, because a cache would keep weights from before an
    update.
    """

    def __init__(self, sizes: Sizes, device: torch.device, capturable: bool = False) -> None:
        width, code = sizes.width, sizes.code
        self.encoder = nn.Sequential(*_layers(sizes.pixels, width, code)).to(device)
        self.decoder = nn.Sequential(*_layers(code, width, sizes.pixels), nn.Sigmoid()).to(device)
        self.discriminator = nn.Sequential(*_layers(code, width, 1)).to(device)
        self.parts = nn.ModuleDict(
            {"encoder": self.encoder, "decoder": self.decoder, "discriminator": self.discriminator}
        )
        adam = partial(Adam, lr=1e-3, betas=(0.5, 0.999), capturable=capturable)
        self.autoencoder_optimizer = adam([*self.encoder.parameters(), *self.decoder.parameters()])
        self.discriminator_optimizer = adam(self.discriminator.parameters())
        self.generator_optimizer = adam(self.encoder.parameters())
        self.bce = nn.BCEWithLogitsLoss()

    def step(self, pixels: Tensor) -> StepLosses:
        """The paper's schedule on one minibatch, (N, 1, side, side) uint8."""
        x = self.images(pixels)
        reconstruction = self.reconstruction_loss(x)
        self.update(self.autoencoder_optimizer, reconstruction)
        discriminator = self.discriminator_loss(x)
        self.update(self.discriminator_optimizer, discriminator)
        generator = self.generator_loss(x)
        self.update(self.generator_optimizer, generator)
        return {"reconstruction": reconstruction, "discriminator": discriminator, "generator": generator}

    def joint_step(self, pixels: Tensor) -> StepLosses:
        """One encoding: the discriminator's turn, then one update on reconstruction and generator loss together."""
        x = self.images(pixels)
        z = self.encode(x)
        discriminator = self.joint_discriminator_loss(z)
        self.update(self.discriminator_optimizer, discriminator)
        loss, reconstruction, generator = self.joint_losses(z, x)
        self.update(self.autoencoder_optimizer, loss)
        return {"reconstruction": reconstruction, "discriminator": discriminator, "generator": generator}

    def images(self, pixels: Tensor) -> Tensor:
        """The input of a step's losses."""
        return floats(pixels)

    def update(self, optimizer: Adam, loss: Tensor) -> None:
        """An optimizer's turn."""
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    def reconstruction_loss(self, x: Tensor) -> Tensor:
        """The error of images that are encoded and decoded."""
        return self.difference(self.decoder(self.encoder(x)), x)

    def discriminator_loss(self, x: Tensor) -> Tensor:
        """The discriminator's loss on the codes of images."""
        with torch.no_grad():
            fake = self.encoder(x)
        return self.telling_apart(fake)

    def generator_loss(self, x: Tensor) -> Tensor:
        """The generator's loss on the codes of images."""
        return self.passing_off(self.encoder(x))

    def encode(self, x: Tensor) -> Tensor:
        """The codes of images."""
        return self.encoder(x)

    def joint_discriminator_loss(self, z: Tensor) -> Tensor:
        """The discriminator's loss on codes, which get no gradient."""
        return self.telling_apart(z.detach())

    def joint_losses(self, z: Tensor, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The loss to train on, and its terms: reconstruction and generator loss, detached."""
        generator = self.passing_off(z)
        reconstruction = self.difference(self.decoder(z), x)
        return reconstruction + generator, reconstruction.detach(), generator.detach()

    def telling_apart(self, fake: Tensor) -> Tensor:
        """The discriminator's loss on codes."""
        real = torch.randn_like(fake)
        on_real, on_fake = self.discriminator(real), self.discriminator(fake)
        return self.bce(on_real, torch.ones_like(on_real)) + self.bce(on_fake, torch.zeros_like(on_fake))

    def passing_off(self, z: Tensor) -> Tensor:
        """The generator's loss on codes."""
        logits = self.discriminator(z)
        return self.bce(logits, torch.ones_like(logits))

    @staticmethod
    def difference(x_hat: Tensor, x: Tensor) -> Tensor:
        """Half the squared error of an image, averaged over images: our reconstruction loss."""
        return 0.5 * ((x_hat - x) ** 2).sum(1).mean()


class PlainCompiled(PlainEager):
    """The same script, compiled as far as torch can: between its graphs, only Python and the autograd engine run.

    Each loss is one graph from the pixels on, and its backward pass another. The joint schedule encodes in a graph of
    its own, because the discriminator is updated before the codes are used again. `backward()` is called outside, as
    Dynamo does not trace it. Each optimizer's step is one graph. torch's recipe is to compile a function that calls
    `optimizer.step()`, which breaks the graph before and after the update. Here only the update inside is compiled,
    under the same `no_grad`: the same graph, with less Python around it. All shapes are fixed. At a second batch size
    in one process, Dynamo would treat the batch size as a variable, and the kernels would be slower.
    """

    GRAPHS: Final[Mapping[str, int]] = {"alternating": 3 + 3, "joint": 3 + 2}
    """The number of compiled functions that a step calls, losses and updates, by schedule."""

    def __init__(self, sizes: Sizes, device: torch.device, **options: Any) -> None:
        """`options` are of `torch.compile`: its mode or its backend."""
        super().__init__(sizes, device, capturable=device.type == "cuda")
        compiled = partial(torch.compile, fullgraph=True, dynamic=False, **options)

        def reconstruction_loss(pixels: Tensor) -> Tensor:
            return PlainEager.reconstruction_loss(self, floats(pixels))

        def discriminator_loss(pixels: Tensor) -> Tensor:
            return PlainEager.discriminator_loss(self, floats(pixels))

        def generator_loss(pixels: Tensor) -> Tensor:
            return PlainEager.generator_loss(self, floats(pixels))

        def encode(pixels: Tensor) -> Tensor:
            return PlainEager.encode(self, floats(pixels))

        def joint_discriminator_loss(z: Tensor) -> Tensor:
            return PlainEager.joint_discriminator_loss(self, z)

        def joint_losses(z: Tensor, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            return PlainEager.joint_losses(self, z, floats(pixels))

        alternating = (reconstruction_loss, discriminator_loss, generator_loss)
        for loss in (*alternating, encode, joint_discriminator_loss, joint_losses):
            setattr(self, loss.__name__, compiled(loss))
        self._adam_step = compiled(unwrap(Adam.step))

    def images(self, pixels: Tensor) -> Tensor:
        """The pixels as they are: each loss makes floats of them."""
        return pixels

    def update(self, optimizer: Adam, loss: Tensor) -> None:
        """An optimizer's turn."""
        optimizer.zero_grad()
        loss.backward()
        with torch.no_grad():  # what `optimizer.step()` does around the update
            self._adam_step(optimizer)


def floats(pixels: Tensor) -> Tensor:
    """(N, 1, side, side) uint8 as (N, D) float32 in [0, 1]."""
    return pixels.flatten(1).float() / 255


def _layers(inner: int, width: int, outer: int) -> list[nn.Module]:
    return [
        *(nn.Linear(inner, width), nn.ReLU()),
        *(nn.Linear(width, width), nn.ReLU()),
        nn.Linear(width, outer),
    ]
