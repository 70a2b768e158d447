"""The classifier two-sample test: do two classifiers of scikit-learn distinguish two sets of rows?"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from aaeframe.errors import DataError
from aaeframe.evaluation.inputs import as_comparable_rows, spread

MAX_ROWS: Final = 5_000
"""The largest number of rows used of each set, evenly spaced."""
LEAST_ROWS: Final = 20
"""The least number of rows of each set: half are trained on, and a tenth of these decides when to stop."""
CONFIDENCE: Final = 0.95
"""The confidence of the intervals."""


@dataclass(frozen=True)
class TwoSample:
    """The accuracy of each classifier on rows that it was not trained on; 0.5 is chance."""

    accuracies: Mapping[str, float]
    """The accuracy by classifier: "trees" and "perceptron"."""
    rows: int
    """The number of test rows, half of them from each set."""

    @property
    def accuracy(self) -> float:
        """The larger accuracy, which is the one that counts."""
        return max(self.accuracies.values())

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the larger accuracy: exact and binomial, widened because the larger one was chosen."""
        return self._interval(self.accuracy, (1 - CONFIDENCE) / len(self.accuracies))

    def interval_of(self, classifier: str) -> tuple[float, float]:
        """The 95 % interval of one classifier's accuracy, exact and binomial."""
        return self._interval(self.accuracies[classifier], 1 - CONFIDENCE)

    def _interval(self, accuracy: float, error: float) -> tuple[float, float]:
        from scipy.stats import binomtest

        found = binomtest(round(accuracy * self.rows), self.rows).proportion_ci(1 - error, method="exact")
        return float(found.low), float(found.high)


def classifier_two_sample(a: Tensor, b: Tensor, *, rows: int = MAX_ROWS, generator: torch.Generator) -> TwoSample:
    """The accuracies of gradient-boosted trees and of a perceptron between a (N, D) and b (M, D).

    The sets are cut to one size, at most `rows` rows each, evenly spaced, so that 0.5 is chance. Both classifiers are
    trained on a random half of each set and tested on the other half. So their errors are binomial; those of a
    cross-validation are not, as its folds share rows. Trees detect thin structure, such as a swiss roll with noise;
    the perceptron detects what depends on many columns together.

    All randomness is from `generator`, on the CPU. DataError if a set has fewer than 20 rows. Source: Lopez-Paz and
    Oquab, "Revisiting Classifier Two-Sample Tests", arXiv 1610.06545.
    """
    first, second = as_comparable_rows(a, b)
    size = min(len(first), len(second), rows)
    if size < LEAST_ROWS:
        raise DataError(
            f"the two-sample test needs {LEAST_ROWS} rows of each set, found {len(first)} and {len(second)}"
        )
    halves = [_halves(spread(it, size), generator) for it in (first, second)]
    (x, y), (unseen, truth) = (_joined([it[part] for it in halves]) for part in (0, 1))
    seed = int(torch.randint(2**31, (), generator=generator))
    accuracies = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a training has not converged: the accuracy on unseen rows says enough
        for name, classifier in _classifiers(seed).items():
            accuracies[name] = float((classifier.fit(x, y).predict(unseen) == truth).mean())
    return TwoSample(accuracies, len(truth))


def _classifiers(seed: int) -> dict[str, Any]:
    """The classifiers by name; each stops early by a part of its training rows."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    perceptron = MLPClassifier((64, 64), early_stopping=True, learning_rate_init=3e-3, random_state=seed)
    return {
        "trees": HistGradientBoostingClassifier(
            early_stopping=True, max_iter=200, min_samples_leaf=5, random_state=seed
        ),
        "perceptron": make_pipeline(StandardScaler(), perceptron),
    }


def _halves(x: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """A random half of the rows, and the rest, which may be one more."""
    order = torch.randperm(len(x), generator=generator)
    return x[order[: len(x) // 2]], x[order[len(x) // 2 :]]


def _joined(sets: list[Tensor]) -> tuple[np.ndarray, np.ndarray]:
    """The rows of the sets, and the number of the set of each."""
    return torch.cat(sets).numpy(), np.repeat(np.arange(len(sets)), [len(it) for it in sets])
