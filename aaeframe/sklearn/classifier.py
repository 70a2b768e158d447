"""Classes from few labels."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.utils import check_consistent_length, column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import validate_data

from aaeframe.runs.objects import DiscriminatorObject, EncoderObject, NetworkObject, PriorObject
from aaeframe.runs.run import Run
from aaeframe.sklearn.base import FLOATS, AdversarialEstimator
from aaeframe.sklearn.classes import class_metric, probabilities, product, values_of


class AdversarialClassifier(ClassifierMixin, AdversarialEstimator):
    """A classifier that also learns from rows without a label: the recipe `semi-supervised` (paper, section 5).

    Args:
        unlabeled: the value of y in rows without a label, such as -1; None: every row has one.
        style: the prior of what is not the class.
        Others: see `AdversarialEstimator`.

    Attributes:
        classes_: (K,) the classes, sorted.
    """

    classes_: np.ndarray

    def __init__(
        self,
        *,
        unlabeled: int | str | None = None,
        style: str | PriorObject = "gaussian(size=2)",
        encoder: str | EncoderObject = "deterministic",
        network: str | NetworkObject = "mlp(hidden=[64, 32])",
        discriminator: str | DiscriminatorObject = "mlp(hidden=[64, 64])",
        steps: int = 2000,
        batch_size: int = 64,
        scale: str | tuple[float, float] = "standardize",
        preset: str | None = None,
        config: str | Path | Mapping[str, Any] | None = None,
        device: str = "auto",
        warm_start: bool = False,
        random_state: int | np.random.RandomState | None = 0,
        verbose: bool = False,
    ) -> None:
        super().__init__(
            encoder=encoder,
            network=network,
            discriminator=discriminator,
            steps=steps,
            batch_size=batch_size,
            scale=scale,
            preset=preset,
            config=config,
            device=device,
            warm_start=warm_start,
            random_state=random_state,
            verbose=verbose,
        )
        self.unlabeled = unlabeled
        self.style = style

    def fit(self, X: Any, y: Any) -> Self:
        """Train on rows (N, D) with classes y (N,). ValueError if y is not of classes, or no row has a label."""
        X, y = validate_data(self, X, y, dtype=FLOATS)
        known = self._has_label(y)
        check_classification_targets(y[known])
        if self.unlabeled is not None and (y[known].astype(str) == str(self.unlabeled)).any():
            raise ValueError(
                f"y has {str(self.unlabeled)!r} as {np.asarray(y[known]).dtype}, which unlabeled={self.unlabeled!r} is "
                "not; give unlabeled as it is in y"
            )
        self.classes_, told = np.unique(y[known], return_inverse=True)
        labels = np.full(len(y), -1)
        labels[known] = told
        self._train(
            X,
            labels,
            prior=product(len(self.classes_), self.style),
            recipe="semi-supervised",
            labels="all",
            class_names=tuple(map(str, self.classes_)),
        )
        return self

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """The accuracy on those rows that have a label. ValueError if none has."""
        check_consistent_length(X, y, sample_weight)
        y = column_or_1d(y)
        known = self._has_label(y)
        weights = None if sample_weight is None else np.asarray(sample_weight)[known]
        return float(accuracy_score(y[known], self.predict(X)[known], sample_weight=weights))

    def _has_label(self, y: np.ndarray) -> np.ndarray:
        """Whether each row has a label (N,). ValueError if none has."""
        known = np.ones(len(y), bool) if self.unlabeled is None else y != self.unlabeled
        if not known.any():
            raise ValueError(f"no row of y has a label: every one is unlabeled={self.unlabeled!r}")
        return known

    def predict(self, X: Any) -> np.ndarray:
        """The class of each row (N,)."""
        found = self.predict_proba(X).argmax(1)
        return np.asarray(self.classes_[found])

    def predict_proba(self, X: Any) -> np.ndarray:
        """The probability of each class (N, K), in the order of `classes_`."""
        rows = self._rows(X)
        names = self.run_.category_names or ()
        return probabilities(self.run_, rows)[:, [names.index(str(it)) for it in self.classes_]]

    def _fits(self, run: Run) -> bool:
        return class_metric(run) == "classification"

    def _adopt(self, run: Run) -> None:
        self.classes_ = values_of(run.category_names or ())
