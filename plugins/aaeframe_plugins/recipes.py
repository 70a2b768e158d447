"""The catalogue of recipes; torch-free."""

from __future__ import annotations

from aaeframe import Component, hookimpl

_RECIPES = "aaeframe.recipes"


@hookimpl
def aaeframe_recipes() -> list[Component]:
    """The training procedures of the paper, and one to compare with."""
    return [
        Component(
            "unsupervised",
            f"{_RECIPES}.unsupervised:Unsupervised",
            "section 2: reconstruction and regularization, informed by labels if there are any",
        ),
        Component(
            "supervised",
            f"{_RECIPES}.supervised:Supervised",
            "section 4: the label goes to the decoder, the code keeps the style",
        ),
        Component(
            "semi-supervised",
            f"{_RECIPES}.semi_supervised:SemiSupervised",
            "section 5: a class, learned from few labels, and a style",
        ),
        Component("clustering", f"{_RECIPES}.clustering:Clustering", "section 6: clusters and a style; no labels"),
        Component(
            "reduction",
            f"{_RECIPES}.reduction:Reduction",
            "section 7: cluster heads plus style, in few dimensions; with labels or without",
        ),
        Component(
            "variational",
            f"{_RECIPES}.variational:Variational",
            "the variational autoencoder that the paper compares with",
        ),
    ]
