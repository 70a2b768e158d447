"""The catalogue of encoders; torch-free."""

from __future__ import annotations

from aaeframe import Component, hookimpl

_HERE = "aaeframe_plugins.encoders"


@hookimpl
def aaeframe_encoders() -> list[Component]:
    """The three encoding distributions of the paper's section 2."""
    return [
        Component("deterministic", f"{_HERE}.deterministic:Deterministic", "z = f(x)"),
        Component("gaussian", f"{_HERE}.gaussian:Gaussian", "z = mu(x) + sigma(x) eps"),
        Component("universal", f"{_HERE}.universal:Universal", "z = f(x, eta): q(z|x) of any shape"),
    ]
