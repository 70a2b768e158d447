"""The class information that a linear probe finds in the style code; ideally none."""

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
"""The largest number of rows the probe is fitted to, evenly spaced."""
MAX_ITERATIONS: Final = 2_000
"""The most iterations of the probe's solver; ten-dimensional codes of ten classes need some dozens."""


@dataclass(frozen=True)
class Leakage:
    """The accuracy of a linear probe for the class; at chance for an ideal style code.

    A probe at chance shows that the code has no linear information about the class. It may have other information.
    """

    accuracy: float
    """The share of held-out rows whose class the probe predicts, in [0, 1]."""
    standard_error: float
    """The binomial standard error sqrt(accuracy (1 - accuracy) / rows)."""
    chance: float
    """The share of the most frequent class among the held-out rows: the accuracy of always predicting it."""
    converged: bool
    """Whether the probe's solver converged; if not, `accuracy` may be too low."""
    fit_rows: int
    """The number of rows the probe was fitted to."""
    rows: int
    """The number of held-out rows evaluated."""

    def as_dict(self) -> dict[str, float]:
        """The numbers by name, for JSON."""
        return asdict(self)


def leakage(fit_codes: Tensor, fit_labels: Tensor, codes: Tensor, labels: Tensor, *, num_classes: int) -> Leakage:
    """Fit a linear probe from codes to classes on one set and evaluate it on another.

    Codes are (N, *event_shape) and (M, *event_shape), labels (N,) and (M,) in 0 to num_classes - 1. The probe is
    multinomial logistic regression with an L2 penalty of 1, on codes standardized by the fit rows. At most 5,000 fit
    rows are used, evenly spaced. Nothing is random. DataError if codes and labels do not fit each other, or all fit
    rows have the same class.
    """
    known, held_out = as_rows(fit_codes, "fit codes"), as_rows(codes, "codes")
    if known.shape[1] != held_out.shape[1]:
        raise DataError(f"the fit codes have {known.shape[1]} numbers a row, the codes {held_out.shape[1]}")
    known_labels = spread(as_labels(fit_labels, len(known), num_classes=num_classes), MAX_FIT_ROWS)
    truth = as_labels(labels, len(held_out), num_classes=num_classes)
    known = spread(known, MAX_FIT_ROWS)
    if len(known_labels.unique()) == 1:
        raise DataError(
            f"a probe needs fit rows of two classes or more, all {len(known)} are of class {known_labels[0]}. "
            "Pass rows of the classes that it must separate"
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
