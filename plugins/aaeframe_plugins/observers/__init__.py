"""The catalogue of observers; torch-free."""

from __future__ import annotations

from aaeframe import Component, hookimpl


@hookimpl
def aaeframe_observers() -> list[Component]:
    """A table of the epochs, and TensorBoard."""
    return [
        Component("csv", f"{__name__}.table:Table", "one row per epoch in a .csv file of the run"),
        Component(
            "tensorboard", f"{__name__}.tensorboard:TensorBoard", "scalars and figures for TensorBoard, in the run"
        ),
    ]
