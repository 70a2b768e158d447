"""The training step of pythae's adversarial autoencoder (Chadebec et al., arXiv 2206.08309), if it is installed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adam

from aaeframe.benchmarking.baselines import PlainEager
from aaeframe.benchmarking.sizes import Sizes


def pythae_step(sizes: Sizes, device: torch.device) -> Callable[[Tensor], dict[str, Tensor]]:
    """One step of pythae's `AdversarialTrainer`, without its data loader, logging and callbacks.

    It is compared with our schedule "joint". Equal are the networks, the batch, the data on the device, learning rates,
    Adam's betas and the reconstruction loss. The discriminator is ours, because pythae's own is smaller. The weights of
    the losses are equal up to a common factor. Not equal: pythae's discriminator ends in a sigmoid and its loss takes
    probabilities. It is called three times, and is updated together with the autoencoder and not before. In pythae's
    favor: its encoder must return a log-covariance and gets zeros, not a second layer. Its trainer reads three losses
    at every step; so does this.
    """
    from pythae.models import Adversarial_AE, Adversarial_AE_Config

    config = Adversarial_AE_Config(
        input_dim=(1, sizes.side, sizes.side),
        latent_dim=sizes.code,
        adversarial_loss_scale=1.0,
        reconstruction_loss_scale=1.0,
        deterministic_posterior=True,
    )
    model = Adversarial_AE(config, *_networks(sizes)).to(device).train()
    autoencoder = [*model.encoder.parameters(), *model.decoder.parameters()]
    autoencoder_optimizer = Adam(autoencoder, lr=1e-3, betas=(0.5, 0.999))
    discriminator_optimizer = Adam(model.discriminator.parameters(), lr=1e-3, betas=(0.5, 0.999))

    def step(pixels: Tensor) -> dict[str, Tensor]:
        output = model({"data": pixels.float() / 255})
        autoencoder_optimizer.zero_grad()
        output.autoencoder_loss.backward(retain_graph=True)
        discriminator_optimizer.zero_grad()
        output.discriminator_loss.backward()
        autoencoder_optimizer.step()
        discriminator_optimizer.step()
        for loss in (output.autoencoder_loss, output.discriminator_loss, output.loss):
            loss.item()
        return {"reconstruction": output.recon_loss.detach()}

    return step


def _networks(sizes: Sizes) -> tuple[Any, Any, Any]:
    """The plain script's encoder, decoder and discriminator as pythae's classes."""
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseDiscriminator, BaseEncoder

    parts = PlainEager(sizes, torch.device("cpu")).parts

    class Encoder(BaseEncoder):
        def __init__(self) -> None:
            super().__init__()
            self.layers = parts["encoder"]

        def forward(self, x: Tensor) -> Any:
            z = self.layers(x.flatten(1))
            return ModelOutput(embedding=z, log_covariance=torch.zeros_like(z))

    class Decoder(BaseDecoder):
        def __init__(self) -> None:
            super().__init__()
            self.layers = parts["decoder"]

        def forward(self, z: Tensor) -> Any:
            return ModelOutput(reconstruction=self.layers(z))

    class Discriminator(BaseDiscriminator):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.Sequential(parts["discriminator"], nn.Sigmoid())

        def forward(self, z: Tensor) -> Any:
            return ModelOutput(embedding=self.layers(z))

    return Encoder(), Decoder(), Discriminator()
