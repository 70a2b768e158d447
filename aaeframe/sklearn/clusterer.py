"""Clusters by a categorical block."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import ClassNamePrefixFeaturesOutMixin, ClusterMixin, TransformerMixin

from aaeframe.errors import ConfigError
from aaeframe.runs.objects import DiscriminatorObject, EncoderObject, NetworkObject, PriorObject
from aaeframe.runs.run import Run
from aaeframe.sklearn.base import AdversarialEstimator
from aaeframe.sklearn.classes import class_block, class_metric, probabilities, product, style_codes


class AdversarialClusterer(ClassNamePrefixFeaturesOutMixin, ClusterMixin, TransformerMixin, AdversarialEstimator):
    """Clusters without labels: the recipe `clustering` (paper, section 6).

    Args:
        n_clusters: the number of categories; some may stay empty.
        style: the prior of what is not the cluster.
        Others: see `AdversarialEstimator`.

    Attributes:
        labels_: (N,) the cluster of each training row, from 0; not after `from_run`.
    """

    labels_: np.ndarray

    def __init__(
        self,
        n_clusters: int = 8,
        *,
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
        self.n_clusters = n_clusters
        self.style = style

    def fit(self, X: Any, y: Any = None) -> Self:
        """Train on rows (N, D). y is ignored."""
        self._train(self._training_rows(X), prior=product(self.n_clusters, self.style), recipe="clustering")
        return self

    def predict(self, X: Any) -> np.ndarray:
        """The cluster of each row (N,), from 0."""
        return self.predict_proba(X).argmax(1)

    def predict_proba(self, X: Any) -> np.ndarray:
        """The probability of each cluster, (N, n_clusters)."""
        rows = self._rows(X)
        return probabilities(self.run_, rows)

    def transform(self, X: Any) -> np.ndarray:
        """The style (N, n) of rows (N, D), without noise, in the type of X."""
        rows = self._rows(X)
        return style_codes(self.run_, self._codes(rows))

    def _measure(self, run: Run, x: np.ndarray) -> None:
        self.labels_ = probabilities(run, x).argmax(1)

    def _refuse_components(self) -> None:
        super()._refuse_components()
        count = self.run_.model.priors[class_block(self.run_)].event_shape[0]
        if self.n_clusters != count:
            raise ConfigError(
                f"n_clusters={self.n_clusters} is not used: a warm start after from_run keeps the {count} clusters of "
                "the folder; leave it out, or set warm_start=False to train anew"
            )

    def _fits(self, run: Run) -> bool:
        return class_metric(run) == "clustering"

    def _adopt(self, run: Run) -> None:
        self.n_clusters = run.model.priors[class_block(run)].event_shape[0]

    @property
    def _n_features_out(self) -> int:
        return sum(
            torch.Size(it.event_shape).numel()
            for name, it in self.run_.model.priors.items()
            if name != class_block(self.run_)
        )

    def __sklearn_tags__(self) -> Any:
        """The tags: styles have the type of X."""
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
