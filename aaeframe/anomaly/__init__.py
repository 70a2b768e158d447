"""Anomaly scores of a trained model: kinds of score, the fitted density, and reasons."""

from __future__ import annotations

from aaeframe.anomaly.density import Density, fit_density
from aaeframe.anomaly.reasons import Reasons, reasons
from aaeframe.anomaly.scores import KINDS, Kind, scores

__all__ = ["KINDS", "Density", "Kind", "Reasons", "fit_density", "reasons", "scores"]
