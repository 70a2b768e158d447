"""The catalogue of discriminators; torch-free."""

from __future__ import annotations

from aaeframe import Component, hookimpl

_HERE = "aaeframe_plugins.discriminators"


@hookimpl
def aaeframe_discriminators() -> list[Component]:
    """Discriminators of one latent block."""
    return [
        Component("mlp", f"{_HERE}.mlp:MLP", "two ReLU layers of 1000, as in the paper"),
        Component("spectral", f"{_HERE}.spectral:Spectral", "the same under spectral normalization"),
    ]
