"""The autoencoder as a transformer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_array, check_random_state
from sklearn.utils.validation import check_is_fitted

from aaeframe.runs.fixed_batches import scores
from aaeframe.runs.objects import DiscriminatorObject, EncoderObject, NetworkObject, PriorObject
from aaeframe.runs.run import Run
from aaeframe.sklearn.base import FLOATS, AdversarialEstimator, single


class AdversarialAutoencoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, AdversarialEstimator):
    """Codes that follow a prior, with a decoder back to the rows: the recipe `unsupervised`.

        AdversarialAutoencoder(prior="mixture(components=5)").fit_transform(X)

    Args:
        prior: as for `aaeframe.train`. A product of blocks gives codes side by side, in the order of the blocks.
        Others: see `AdversarialEstimator`.
    """

    def __init__(
        self,
        *,
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
        self.prior = prior

    def fit(self, X: Any, y: Any = None) -> Self:
        """Train on rows (N, D). y is ignored."""
        self._train(self._training_rows(X), prior=self.prior, recipe="unsupervised")
        return self

    def transform(self, X: Any) -> np.ndarray:
        """The codes (N, n) of rows (N, D), without noise, in the type of X."""
        rows = self._rows(X)
        return np.concatenate(list(self._codes(rows).values()), axis=1)

    def inverse_transform(self, X: Any) -> np.ndarray:
        """The rows (N, D) that codes (N, n) decode to, in the units of the training rows."""
        check_is_fitted(self)
        codes = check_array(X, dtype=FLOATS)
        if codes.shape[1] != self._n_features_out:
            raise ValueError(f"X has {codes.shape[1]} features, but codes have {self._n_features_out}")
        numbers, start, blocks = single(codes), 0, {}
        for name, prior in self.run_.model.priors.items():
            stop = start + torch.Size(prior.event_shape).numel()
            block = torch.from_numpy(numbers[:, start:stop])
            blocks[name] = block.reshape(-1, *prior.event_shape)
            start = stop
        return self.run_.decode(blocks).cpu().numpy().astype(codes.dtype, copy=False)

    def sample(self, n_samples: int = 1, *, random_state: int | np.random.RandomState | None = None) -> np.ndarray:
        """Rows (n_samples, D) decoded from samples of the prior; `random_state` is the estimator's by default."""
        check_is_fitted(self)
        state = check_random_state(self.random_state if random_state is None else random_state)
        return self.run_.sample(n_samples, seed=state.randint(2**31)).cpu().numpy()

    def score_samples(self, X: Any) -> np.ndarray:
        """The usualness (N,) of rows, higher for those like the rows of the training: minus the score "density".

        Twice the logarithm of a Gaussian density of residual and code, up to a constant: see `aaeframe.anomaly`.
        """
        rows = self._rows(X)
        return -scores(self.run_, rows)

    def _measure(self, run: Run, x: np.ndarray) -> None:
        run.scores(x[:1])  # fits the density, for which the training rows are needed

    @property
    def _n_features_out(self) -> int:
        return sum(torch.Size(prior.event_shape).numel() for prior in self.run_.model.priors.values())

    def __sklearn_tags__(self) -> Any:
        """The tags: codes have the type of X."""
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
