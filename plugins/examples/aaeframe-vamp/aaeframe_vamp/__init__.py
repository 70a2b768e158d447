"""VampPrior. This module holds the hook; torch is imported with `vamp`, on first use."""

from __future__ import annotations

from aaeframe import Component, hookimpl

aaeframe_api = 1


@hookimpl
def aaeframe_priors() -> list[Component]:
    """The one prior of this plugin."""
    return [Component("vamp", "aaeframe_vamp.vamp:Vamp", "a mixture of the encoder's densities at learned inputs")]
