"""The catalogue of networks; torch-free."""

from __future__ import annotations

from aaeframe import Component, hookimpl

_HERE = "aaeframe_plugins.networks"


@hookimpl
def aaeframe_networks() -> list[Component]:
    """Bodies of the autoencoder."""
    return [
        Component("mlp", f"{_HERE}.mlp:MLP", "two ReLU layers of 1000 each way, as in the paper; any data"),
        Component("conv", f"{_HERE}.conv:Conv", "strided convolutions; images from 8x8 up"),
    ]
