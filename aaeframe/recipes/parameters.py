"""Which parameters each optimizer moves."""

from __future__ import annotations

from torch import nn

from aaeframe.model.autoencoder import Autoencoder


def of_phases(model: Autoencoder) -> dict[str, list[nn.Parameter]]:
    """By the names of all recipes' optimizers; parameters that encoder and decoder share count once.

    "heads" is there where the representation has parameters of its own.
    """
    encoder = list(model.encoder.parameters())
    heads = list(model.representation.parameters())
    both = list(dict.fromkeys([*encoder, *model.decoder.parameters(), *heads]))
    return {
        "reconstruction": both,
        "autoencoder": both,
        "generator": encoder,
        "classification": encoder,
        "consistency": encoder,
        "heads": heads,
        "discriminator": list(model.discriminators.parameters()),
    }
