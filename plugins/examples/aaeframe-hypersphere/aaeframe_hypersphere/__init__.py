"""A prior on a sphere. This module holds the hook; torch is imported with `sphere`, on first use."""

from __future__ import annotations

from aaeframe import Component, hookimpl

aaeframe_api = 1


@hookimpl
def aaeframe_priors() -> list[Component]:
    """The one prior of this plugin."""
    return [Component("hypersphere", "aaeframe_hypersphere.sphere:Hypersphere", "uniform on the unit sphere")]
