"""The suites of `aaeframe bench`: cases, baselines and timers. This catalogue is torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Suite:
    """A group of cases that are measured together."""

    module: str
    """The module with `cases(settings) -> list[Case]`."""
    summary: str

    def load(self) -> Any:
        """Import the function `cases`."""
        return import_module(self.module).cases


SUITES: Final[Mapping[str, Suite]] = MappingProxyType(
    {
        "parzen": Suite("aaeframe.benchmarking.parzen", "the Parzen log-likelihood against GEMM and other estimators"),
        "loss": Suite("aaeframe.benchmarking.discriminator_loss", "the discriminator's last layer and its loss"),
        "step": Suite("aaeframe.benchmarking.step", "a whole training step against the same step elsewhere"),
    }
)
"""The suites, by their names for `--case`."""
