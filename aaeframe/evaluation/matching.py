"""The match of a block's aggregated posterior q(z) with its prior p(z)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import torch
from torch import Tensor

from aaeframe.errors import DataError
from aaeframe.evaluation.inputs import as_rows, spread
from aaeframe.evaluation.mmd import mmd
from aaeframe.evaluation.two_sample import LEAST_ROWS, TwoSample, classifier_two_sample
from aaeframe.evaluation.wasserstein import (
    random_directions,
    sliced_wasserstein,
    sorted_projections,
    wasserstein_of_sorted,
)
from aaeframe.protocols import Prior
from aaeframe.seeds import stream
from aaeframe.supports import is_one_hot

__all__ = ["BlockMatch", "TwoSample", "classifier_two_sample", "match", "mmd", "sliced_wasserstein"]

PROJECTIONS: Final = 200
MMD_DRAWS: Final = 5
"""The number of prior sample sets over which the MMD is averaged; more would take long and change little."""
MAX_ROWS: Final = 10_000
"""The largest number of codes compared, evenly spaced over all given."""


@dataclass(frozen=True)
class BlockMatch:
    """The distance of the codes of one block to its prior.

    Each distance has a floor: its value for two independent sets of prior samples of the same size. That is the value
    of a perfect match. A measure that needs more rows than there are is None.
    """

    rows: int
    """The number of codes compared."""
    sliced_wasserstein: float
    """In the units of the codes."""
    sliced_wasserstein_floor: float
    mmd: float | None
    """Squared and unbiased; needs two rows."""
    mmd_floor: float | None
    two_sample: float | None
    """The larger accuracy of two classifiers that tell codes from prior samples, needs 20 rows; 0.5 is chance.

    Of a block of one-hot vectors they see the most probable category of each code: see `categories`."""
    two_sample_interval: tuple[float, float] | None
    """The 95 % interval of `two_sample`."""
    two_sample_by: Mapping[str, float] | None
    """The accuracy of each classifier."""
    two_sample_rows: int | None
    """The number of test rows."""
    entropy: float | None
    """The entropy H(mean code) in nats of a block of one-hot vectors: how evenly its categories are used.

    Of a block (..., K) of several such vectors this and the next three are the means over these."""
    prior_entropy: float | None
    """The entropy of the mean prior sample, in nats."""
    uniform_entropy: float | None
    """The largest possible entropy, log K of K categories."""
    code_entropy: float | None
    """The mean entropy of a code of such a block, in nats: how soft it is. That of one-hot vectors is 0."""
    tested: bool
    """Whether the classifier two-sample test was asked for."""

    def as_dict(self) -> dict[str, Any]:
        """The numbers by name, for JSON."""
        return {**asdict(self), "two_sample_interval": self.two_sample_interval and [*self.two_sample_interval]}


def match(codes: Tensor, prior: Prior, *, seed: int, draws: int = 50, two_sample: bool = True) -> BlockMatch:
    """Compare the codes (N, *event_shape) of one block with samples of its prior.

    Sliced Wasserstein: 200 directions, averaged over `draws` fresh sets of prior samples, each of as many as there are
    codes. The floor is averaged over as many pairs of sets. MMD: the same over five sets. The classifiers: one set,
    unless `two_sample` is false. At most 10,000 codes are used, evenly spaced (MMD: 2,000, classifiers: 5,000). The
    result depends on the seed alone, and the caller's random state is not changed.

    DataError if the codes are not of the prior's shape, or not finite.
    """
    if codes.shape[1:] != prior.event_shape:
        raise DataError(
            f"the prior's samples are of shape {tuple(prior.event_shape)}, "
            f"found codes of shape {tuple(codes.shape)}; pass (N, *event_shape)"
        )
    rows = spread(as_rows(codes, "codes"), MAX_ROWS)
    with stream(seed, "match", device=codes.device):
        return _measured(rows, prior, draws, two_sample)


def categories(codes: Tensor, prior: Prior) -> Tensor:
    """Codes (N, *event_shape) or (N, D) as classifiers compare them with samples of the prior, in the same shape.

    Of a one-hot prior, each vector becomes the one-hot vector of its largest entry. A softmax is never exactly one-hot,
    and trees would tell it by that alone. Other codes stay as they are.
    """
    if not is_one_hot(prior.support):
        return codes
    parts = codes.reshape(len(codes), -1, prior.event_shape[-1])
    return torch.zeros_like(parts).scatter_(-1, parts.argmax(-1, keepdim=True), 1).reshape(codes.shape)


def _measured(rows: Tensor, prior: Prior, draws: int, two_sample: bool) -> BlockMatch:
    # Priors draw from the global generator; all other random numbers do, too, to be independent of them.
    generator = torch.default_generator
    distances, samples = _wasserstein(rows, prior, draws, generator)
    discrepancies = [(mmd(rows, a), mmd(a, b)) for a, b in samples] if len(rows) > 1 else []
    enough = two_sample and len(rows) >= LEAST_ROWS
    test = classifier_two_sample(categories(rows, prior), samples[0][0], generator=generator) if enough else None
    one_hot = is_one_hot(prior.support)
    size = prior.event_shape[-1] if one_hot else 1
    return BlockMatch(
        rows=len(rows),
        sliced_wasserstein=_mean([d for d, _ in distances]),
        sliced_wasserstein_floor=_mean([d for _, d in distances]),
        mmd=_mean([d for d, _ in discrepancies]) if discrepancies else None,
        mmd_floor=_mean([d for _, d in discrepancies]) if discrepancies else None,
        two_sample=test.accuracy if test else None,
        two_sample_interval=test.interval if test else None,
        two_sample_by=test.accuracies if test else None,
        two_sample_rows=test.rows if test else None,
        entropy=_entropy(rows.mean(0), size) if one_hot else None,
        prior_entropy=_entropy(torch.cat([a for a, _ in samples]).mean(0), size) if one_hot else None,
        uniform_entropy=math.log(size) if one_hot else None,
        code_entropy=_entropy(rows, size) if one_hot else None,
        tested=two_sample,
    )


Pair = tuple[Tensor, Tensor]


def _wasserstein(
    rows: Tensor, prior: Prior, draws: int, generator: torch.Generator
) -> tuple[list[tuple[float, float]], list[Pair]]:
    """The distances for each draw, of codes to a prior set and of this set to another, and the first few pairs of sets.

    The directions are shared by all draws, so that codes and floor are compared along the same directions.
    """
    directions = random_directions(PROJECTIONS, rows.shape[1], generator)
    of_codes = sorted_projections(rows, directions)
    distances: list[tuple[float, float]] = []
    pairs: list[Pair] = []
    for _ in range(draws):
        pair = _sample(prior, len(rows)), _sample(prior, len(rows))
        first, second = (sorted_projections(samples, directions) for samples in pair)
        distances.append((wasserstein_of_sorted(of_codes, first), wasserstein_of_sorted(first, second)))
        if len(pairs) < MMD_DRAWS:
            pairs.append(pair)
    return distances, pairs


def _sample(prior: Prior, count: int) -> Tensor:
    return as_rows(prior.sample(torch.Size([count])), "prior samples")


def _entropy(p: Tensor, size: int) -> float:
    """The mean entropy H in nats of parts of this size of p (..., D), with 0 log 0 = 0."""
    return torch.special.entr(p).unflatten(-1, (-1, size)).sum(-1).mean().item()


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
