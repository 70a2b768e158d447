"""A discriminator. This module holds the hook; torch is imported with `discriminator`, on first use."""

from __future__ import annotations

from aaeframe import Component, hookimpl

aaeframe_api = 1


@hookimpl
def aaeframe_discriminators() -> list[Component]:
    """The one discriminator of this plugin."""
    return [Component("fourier", "aaeframe_fourier.discriminator:Fourier", "ReLU layers over random Fourier features")]
