"""How much of the class a linear probe reads from the style code, which is to know nothing of it."""

from __future__ import annotations

import math
import warnings
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from torch import Tensor

from aaeframe.errors import DataError
from aaeframe.evaluation.inputs import as_labels, as_rows, spread

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

MAX_FIT_ROWS: Final = 5_000
"""Rows the probe is fitted to, evenly spread."""
MAX_ITERATIONS: Final = 2_000
"""Of the probe's solver; ten-dimensional codes of ten classes need some dozens."""


@dataclass(frozen=True)
class Leakage:
    """The class as a linear probe reads it from codes; an ideal style code leaves it at chance.

    A probe at chance shows that nothing is to be read linearly, not that there is nothing.
    """

    accuracy: float
    """Share of held-out rows whose class the probe gets right, in [0, 1]."""
    standard_error: float
    """sqrt(accuracy (1 - accuracy) / rows), the binomial one."""
    chance: float
    """Share of the most frequent class among the held-out rows: what always answering it would reach."""
    converged: bool
    """Whether the probe's solver came to its end; if not, `accuracy` may be too low."""
    fit_rows: int
    """How many rows the probe was fitted to."""
    rows: int
    """How many held-out rows were judged."""

    def as_dict(self) -> dict[str, float]:
        """Name to number, for JSON."""
        return asdict(self)


def leakage(fit_codes: Tensor, fit_labels: Tensor, codes: Tensor, labels: Tensor, *, num_classes: int) -> Leakage:
    """Fits a linear probe from codes to classes on one set and judges it on another.

    Codes are (N, *event_shape) and (M, *event_shape), labels (N,) and (M,) in 0 to num_classes - 1. The probe
    is multinomial logistic regression with an L2 penalty of 1, on codes standardized by the fit rows, of which
    at most 5,000 are used, evenly spread. Nothing is random. DataError if codes and labels do not fit each
    other, or the fit rows are of one class only.
    """
    known, held_out = as_rows(fit_codes, "fit codes"), as_rows(codes, "codes")
    if known.shape[1] != held_out.shape[1]:
        raise DataError(f"the fit codes have {known.shape[1]} numbers a row, the codes {held_out.shape[1]}")
    known_labels = spread(as_labels(fit_labels, len(known), num_classes=num_classes), MAX_FIT_ROWS)
    truth = as_labels(labels, len(held_out), num_classes=num_classes)
    known = spread(known, MAX_FIT_ROWS)
    if len(known_labels.unique()) == 1:
        raise DataError(
            f"a probe needs fit rows of two classes or more, all {len(known)} are of class {known_labels[0]}; "
            "pass rows of the classes it is to tell apart"
        )
    probe, converged = _fitted(known, known_labels)
    accuracy = float((probe.predict(held_out.numpy()) == truth.numpy()).mean())
    return Leakage(
        accuracy=accuracy,
        standard_error=math.sqrt(accuracy * (1 - accuracy) / len(held_out)),
        chance=truth.bincount().max().item() / len(truth),
        converged=converged,
        fit_rows=len(known),
        rows=len(held_out),
    )


def _fitted(codes: Tensor, labels: Tensor) -> tuple[Pipeline, bool]:
    """The probe, and whether its solver converged."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=MAX_ITERATIONS))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        probe.fit(codes.numpy(), labels.numpy())
    others = [it for it in caught if not issubclass(it.category, ConvergenceWarning)]
    for it in others:
        warnings.warn_explicit(it.message, it.category, it.filename, it.lineno)
    return probe, len(others) == len(caught)
