"""Figures of codes, decoded images and training. Each function returns a matplotlib Figure; `save` writes it
as PNG.

Nothing here touches pyplot or leaves a trace in matplotlib's settings.
"""

from __future__ import annotations

from aaeframe.figures.canvas import save
from aaeframe.figures.categories import categorical_block
from aaeframe.figures.codes import codes_by_class
from aaeframe.figures.curves import loss_curves
from aaeframe.figures.images import decoded_plane, reconstructions, samples
from aaeframe.figures.plane import PlaneCodes, plane_codes

__all__ = [
    "PlaneCodes",
    "categorical_block",
    "codes_by_class",
    "decoded_plane",
    "loss_curves",
    "plane_codes",
    "reconstructions",
    "samples",
    "save",
]
