"""A flow as a prior. This module holds the hook; torch and zuko are imported with `flow`, on first use."""

from __future__ import annotations

from aaeframe import Component, hookimpl

aaeframe_api = 1


@hookimpl
def aaeframe_priors() -> list[Component]:
    """The one prior of this plugin."""
    return [Component("flow", "aaeframe_flow.flow:Flow", "a neural spline flow, trained with the model")]
