"""Figures of codes, decoded images and training. Each function returns a matplotlib Figure; `save` writes it as PNG.

The package does not use pyplot and does not change matplotlib's settings.
"""

from __future__ import annotations

from aaeframe.figures.canvas import save
from aaeframe.figures.categories import categorical_block
from aaeframe.figures.cluster_plane import reduced, to_circle
from aaeframe.figures.clusters import cluster_heads
from aaeframe.figures.codes import codes_by_class, codes_side_by_side
from aaeframe.figures.curves import Course, learning_curves, loss_curves
from aaeframe.figures.images import decoded_plane, reconstructions, samples
from aaeframe.figures.plane import PlaneCodes, plane_codes
from aaeframe.figures.styles import style_grid
from aaeframe.figures.table_figures import column_errors, column_reconstructions, column_samples, correlations

__all__ = [
    "Course",
    "PlaneCodes",
    "categorical_block",
    "cluster_heads",
    "codes_by_class",
    "codes_side_by_side",
    "column_errors",
    "column_reconstructions",
    "column_samples",
    "correlations",
    "decoded_plane",
    "learning_curves",
    "loss_curves",
    "plane_codes",
    "reconstructions",
    "reduced",
    "samples",
    "save",
    "style_grid",
    "to_circle",
]
