"""Anomalies by the scores of a run."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from pathlib import Path
from typing import Any, Self

import numpy as np
from sklearn.base import OutlierMixin
from sklearn.utils.validation import check_is_fitted

from aaeframe.anomaly import Kind
from aaeframe.runs.anomaly import AnomalyScorer
from aaeframe.runs.fixed_batches import scores
from aaeframe.runs.objects import DiscriminatorObject, EncoderObject, NetworkObject, PriorObject
from aaeframe.runs.run import Run, warn
from aaeframe.sklearn.base import AdversarialEstimator


class AdversarialOutlierDetector(OutlierMixin, AdversarialEstimator):
    """Outliers by an anomaly score, with the signs of scikit-learn: lower is odder, and -1 is an outlier.

    Args:
        kind: "density", "reconstruction", "prior" or "discriminator", see `aaeframe.anomaly`.
        contamination: the share of training rows that are outliers, in (0, 0.5].
        prior: as for `aaeframe.train`.
        Others: see `AdversarialEstimator`.

    Attributes:
        offset_: the threshold of `score_samples`: its quantile of this share over the training rows.
    """

    offset_: float
    _kind: Kind
    """The kind of score that `offset_` is of."""

    def __init__(
        self,
        *,
        kind: Kind = "density",
        contamination: float = 0.1,
        prior: str | PriorObject | Mapping[str, str | PriorObject] = "gaussian(size=2)",
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
        self.kind = kind
        self.contamination = contamination
        self.prior = prior

    def fit(self, X: Any, y: Any = None) -> Self:
        """Train on rows (N, D), outliers among them or not. y is ignored. ValueError for a wrong `contamination`."""
        if not isinstance(self.contamination, Real) or not 0 < self.contamination <= 0.5:
            raise ValueError(f"contamination={self.contamination!r} must be in (0, 0.5]")
        self._train(self._training_rows(X), prior=self.prior, recipe="unsupervised")
        return self

    def score_samples(self, X: Any) -> np.ndarray:
        """The usualness (N,) of rows: minus their anomaly scores."""
        rows = self._rows(X)
        return -scores(self.run_, rows, self.kind)

    def decision_function(self, X: Any) -> np.ndarray:
        """The result of `score_samples` less `offset_`: negative for outliers. ValueError if `kind` changed since."""
        check_is_fitted(self)
        if self.kind != self._kind:
            raise ValueError(f"offset_ is of kind={self._kind!r}, found kind={self.kind!r}; fit again")
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> np.ndarray:
        """-1 for outliers, 1 for the others, (N,)."""
        return np.where(self.decision_function(X) < 0, -1, 1)

    def _measure(self, run: Run, x: np.ndarray) -> None:
        self._kind = self.kind
        self.offset_ = float(np.percentile(-scores(run, x, self.kind), 100 * self.contamination))

    def _adopt(self, run: Run) -> None:
        self._kind = self.kind
        self.offset_ = -AnomalyScorer(run, warn).threshold(self.contamination, self.kind)
