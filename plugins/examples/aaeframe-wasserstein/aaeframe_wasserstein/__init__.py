"""A recipe. This module holds the hook; torch is imported with `recipe`, on first use."""

from __future__ import annotations

from aaeframe import Component, hookimpl

aaeframe_api = 1


@hookimpl
def aaeframe_recipes() -> list[Component]:
    """The one recipe of this plugin."""
    return [
        Component(
            "wasserstein", "aaeframe_wasserstein.recipe:Wasserstein", "a Wasserstein autoencoder with an MMD penalty"
        )
    ]
