"""The catalogue of priors; torch-free."""

from __future__ import annotations

from aaeframe import Component, hookimpl

_HERE = "aaeframe_plugins.priors"


@hookimpl
def aaeframe_priors() -> list[Component]:
    """The priors of the paper, and samples of your own."""
    return [
        Component("gaussian", f"{_HERE}.gaussian:gaussian", "isotropic Gaussian"),
        Component("mixture", f"{_HERE}.mixture:Mixture", "mixture of Gaussians, ten petals by default; knows labels"),
        Component("swissroll", f"{_HERE}.swissroll:SwissRoll", "a spiral in the plane; knows labels, no density"),
        Component(
            "categorical",
            f"{_HERE}.categorical:categorical",
            "one-hot vectors, each class equally likely, or as frequent as codes are",
        ),
        Component("empirical", f"{_HERE}.empirical:Empirical", "the samples of a file, smoothed or not; no density"),
    ]
