"""Whether a run is an adversarial autoencoder at all: its codes match the prior, and it reconstructs. Torch-free."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

TWO_SAMPLE: Final = 0.65
"""Accuracy up to which a classifier hardly tells codes from prior samples; 0.5 is chance."""
RECONSTRUCTION: Final = 0.5
"""Held-out reconstruction error, as a part of the mean image's."""
ENTROPY: Final = 0.1
"""Nats that the marginal of a categorical block may lack to the uniform one."""


@dataclass(frozen=True)
class Criterion:
    """One thing that is measured, and what it may be at most."""

    of: str
    found: float | None
    """None if it could not be measured."""
    at_most: float

    @property
    def met(self) -> bool:
        """Whether it was measured and is within the bound."""
        return self.found is not None and self.found <= self.at_most

    def __str__(self) -> str:
        if self.found is None:
            return f"{self.of} could not be measured"
        return f"{self.of} is {self.found:.3g}, at most {self.at_most:g}"


_LIMITS: Final = {
    "reconstruction error over the mean image's": RECONSTRUCTION,
    "two-sample accuracy of ": TWO_SAMPLE,
    "entropy missing from ": ENTROPY,
}
"""By what their names begin with."""


def criterion(of: str, found: float | None) -> Criterion:
    """What was found, with the bound that now holds for it. ValueError if none is known."""
    for begin, at_most in _LIMITS.items():
        if of.startswith(begin):
            return Criterion(of, found, at_most)
    raise ValueError(f"no criterion is named {of!r}")


def criteria(report: Mapping[str, Any]) -> tuple[Criterion, ...]:
    """What a run must meet to count, from the evaluation of its test rows."""
    return tuple(_criteria(report))


def _criteria(report: Mapping[str, Any]) -> Iterator[Criterion]:
    yield criterion("reconstruction error over the mean image's", report["reconstruction"]["ratio"])
    for name, block in report["blocks"].items():
        if block["entropy"] is None:  # a block of real numbers
            yield criterion(f"two-sample accuracy of {name}", block["two_sample"])
        elif "clustering" not in report:
            # Reports older than the entry are of uniform priors.
            yield _entropy(name, block.get("uniform_entropy", block["prior_entropy"]), block["entropy"])
    if "clustering" in report:
        clusters = report["clustering"]
        yield _entropy("clusters", clusters["uniform_entropy"], clusters["marginal_entropy"])


def _entropy(name: str, uniform: float, found: float) -> Criterion:
    return criterion(f"entropy missing from {name}", uniform - found)
