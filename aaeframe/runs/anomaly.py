"""Anomaly scores by a run: the density is fitted to its training rows once, and kept in its folder."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from aaeframe.anomaly import kept
from aaeframe.anomaly.density import Density, fit_density, thinned
from aaeframe.anomaly.reasons import Reasons, check_reasons, reasons
from aaeframe.anomaly.scores import DECODED, Kind, check_kind, scores
from aaeframe.data import Dataset
from aaeframe.data.identity import changes, identity
from aaeframe.errors import ConfigError, ReadOnly
from aaeframe.runs.new_data import model_rows
from aaeframe.torch_state import default_state

if TYPE_CHECKING:
    from aaeframe.runs.run import Run

MOST_ROWS = 100_000
"""The largest number of training rows that a threshold is chosen by; evenly spaced."""


@dataclass(frozen=True)
class AnomalyScorer:
    """Scores rows by a run, says which are anomalies, and names the features that made them so."""

    run: Run
    warn: Callable[[str], None]
    """Called with a sentence if the density cannot be kept."""
    data_changed: bool = False
    """Whether the density may be fitted to data that is no longer that of the training; it is not kept then."""

    @default_state()
    def scores(self, x: Any, kind: Kind = "density", labels: Tensor | None = None) -> np.ndarray:
        """The score (N,) of each row, as `Run.scores` gives it."""
        check_kind(self.run.model, kind)
        rows, labels = self.run.rows_and_labels(x, labels) if kind in DECODED else (model_rows(self.run, x), None)
        density = self.density() if kind == "density" else None
        return scores(self.run.model, rows, kind, labels=labels, density=density)

    def threshold(self, contamination: float, kind: Kind = "density") -> float:
        """The score that the share `contamination` of the training rows exceeds. ConfigError outside (0, 0.5]."""
        if not 0 < contamination <= 0.5:
            raise ConfigError(
                f"--contamination is the share of anomalies, in (0, 0.5], found {contamination:g}; give 0.05"
            )
        check_kind(self.run.model, kind)
        found = self.density().training if kind == "density" else self.scores(self._some_training_rows(), kind)
        return float(np.quantile(found, 1 - contamination))

    @default_state()
    def reasons(self, x: Any, count: int = 3, labels: Tensor | None = None) -> Reasons:
        """The features of each row that deviate most from what the model expects: see `aaeframe.anomaly.reasons`."""
        check_reasons(self.run.model, count)
        rows, labels = self.run.rows_and_labels(x, labels)
        return reasons(self.run.model, rows, self.density(), self.run.data["columns"], count, labels=labels)

    @default_state()
    def density(self) -> Density:
        """The density in the run's folder; or fitted to the training rows, and kept there if the run has a folder.

        DataError if the training data is needed and is not at hand, or has changed. CheckpointError for a damaged file.
        """
        weights, cached = self.run.weights_digest(), self.run.densities
        if weights not in cached:
            found = self._kept(weights)
            if found is None:
                dataset = self._dataset()
                found = fit_density(self.run.model, dataset.train)
                if changes(self.run.data, identity(dataset)):
                    return found
                self._keep(found, weights)
            cached[weights] = found
        return cached[weights]

    def density_digest(self) -> str:
        """The digest of the density, hexadecimal."""
        return hashlib.sha256(kept.to_bytes(self.density(), self.run.weights_digest())).hexdigest()

    def _kept(self, weights: str) -> Density | None:
        home, shape = self.run.home, self.run.model.data_shape
        return None if home is None else kept.read(home.anomaly, weights, shape.numel())

    def _keep(self, density: Density, weights: str) -> None:
        if self.run.home is None:
            return
        try:
            kept.write(self.run.home.anomaly, density, weights)
        except ReadOnly as error:
            self.warn(f"{error} Until then it is fitted for each command")

    def _dataset(self) -> Dataset:
        return self.run.own_classes(self.run.dataset(data_changed=self.data_changed))

    def _some_training_rows(self) -> Any:
        return thinned(self._dataset().train, MOST_ROWS)
