"""Other generative models of the paper's likelihood table (section 3), trained and evaluated by this harness.

    report = measure("gan", load("mnist"))
    report = measure("gmmn", load("mnist"), replace(DEFAULTS["gmmn"], seed=1))

How large the table's networks were is not known; `gan.fit` and `gmmn.fit` say what is theirs and what is ours.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import torch
from torch import Tensor, nn

from aaeframe.data import Dataset
from aaeframe.errors import OptionError
from aaeframe.evaluation.likelihood import CHUNK, VALIDATION_ROWS, Progress, estimate
from aaeframe.reproduce.rivals import gan, gmmn
from aaeframe.reproduce.rivals.settings import GeneratorSettings, as_unit, draw_noise
from aaeframe.seeds import stream

__all__ = ["DEFAULTS", "FITS", "Generated", "GeneratorSettings", "generate", "measure"]

Fit: TypeAlias = Callable[[Dataset, GeneratorSettings, Progress], nn.Module]
"""Trains a network that makes rows in [0, 1] of noise: see `gan.fit` and `gmmn.fit`."""

FITS: Final[Mapping[str, Fit]] = MappingProxyType({"gan": gan.fit, "gmmn": gmmn.fit})
"""Training functions by kind of baseline."""
DEFAULTS: Final[Mapping[str, GeneratorSettings]] = MappingProxyType({"gan": gan.DEFAULT, "gmmn": gmmn.DEFAULT})
"""Settings for MNIST by kind."""


@dataclass(frozen=True)
class Generated:
    """Samples of a network that makes rows in [0, 1] of noise; of whatever number, the first are the same."""

    network: nn.Module
    """noise (N, settings.noise) -> (N, *shape), on the settings' device and in evaluation mode."""
    settings: GeneratorSettings
    """The settings of the training."""
    count: int

    @torch.no_grad()
    def rows(self, start: int, stop: int) -> Tensor:
        """Generate one chunk; each has a seed of its own."""
        place = self.settings.place
        with stream(self.settings.seed, "likelihood", start, device=place):
            noise = draw_noise(CHUNK, self.settings.noise, place)
        return self.network(noise)[: stop - start]


def generate(
    kind: str,
    dataset: Dataset,
    settings: GeneratorSettings | None = None,
    samples: int = 10_000,
    progress: Progress = lambda doing, done, of: None,
) -> Generated:
    """Samples of a baseline trained on the training rows, by `DEFAULTS` where no settings are given.

    The same settings give the same samples, and torch's global random state is left as it was. OptionError if the kind
    is none of `FITS`, DataError if the data is not in [0, 1], DeviceError, TrainingDiverged.
    """
    if kind not in FITS:
        raise OptionError(f"no baseline is called {kind!r}; there are: {', '.join(FITS)}")
    chosen = settings or DEFAULTS[kind]
    return Generated(FITS[kind](dataset, chosen, progress), chosen, samples)


def measure(
    kind: str,
    dataset: Dataset,
    settings: GeneratorSettings | None = None,
    samples: int = 10_000,
    progress: Progress = lambda doing, done, of: None,
) -> dict[str, Any]:
    """Train a baseline and take the Parzen log-likelihood of the test rows under its samples; JSON-like.

    The protocol is that of `Run.likelihood`. Rows are numbers in [0, 1], and the first validation rows choose the
    bandwidth. The test rows are used once. `seconds` are those of the training; errors are those of `generate`.
    """
    began = time.monotonic()
    generated = generate(kind, dataset, settings, samples, progress)
    seconds = time.monotonic() - began
    trained = generated.settings
    test, validation = (
        as_unit(torch.from_numpy(split.array()).to(trained.place), dataset)
        for split in (dataset.test, dataset.validation)
    )
    found = estimate(test, generated, validation=validation[:VALIDATION_ROWS], progress=progress)
    return {
        "kind": kind,
        "dataset": dataset.name,
        "settings": trained.as_dict(),
        "seconds": round(seconds, 1),
        "likelihood": found.as_dict(),
    }
