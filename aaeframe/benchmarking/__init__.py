"""The suites of `aaeframe bench`: cases, baselines and timers. This catalogue is torch-free."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
    arguments: tuple[str, ...]
    """The arguments of one's own implementation, by position. The module's docstring has types and shapes."""
    sizes: tuple[str, ...]
    """The sizes that can be set, by the names of their options."""

    def load(self) -> Any:
        """Import the function `cases`."""
        return import_module(self.module).cases


SUITES: Final[Mapping[str, Suite]] = MappingProxyType(
    {
        "parzen": Suite(
            "aaeframe.benchmarking.parzen",
            "the Parzen log-likelihood against GEMM and other estimators",
            ("x", "samples", "bandwidth"),
            ("rows", "samples", "features"),
        ),
        "loss": Suite(
            "aaeframe.benchmarking.discriminator_loss",
            "the discriminator's last layer and its loss",
            ("features", "weight", "bias", "target", "row_weight"),
            ("batch", "width"),
        ),
        "step": Suite(
            "aaeframe.benchmarking.step",
            "a whole training step against the same step elsewhere",
            ("pixels", "networks", "schedule"),
            ("batch", "width"),
        ),
    }
)
"""The suites, by their names for `--case`."""


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One's own implementation of the work of a suite, as a plugin offers it: the result of its factory."""

    suite: str
    """A name in SUITES."""
    function: Callable[..., Any]
    """Called with the arguments of the suite, by position."""
