"""Prior samples for the minibatches of a run: a function of (seed, step), drawn for many steps at once."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from typing import Final

import torch
from torch import Tensor
from torch.distributions import Dirichlet

from aaeframe import processes
from aaeframe.losses.adversarial import Segment
from aaeframe.model.autoencoder import Autoencoder, sample, sample_labeled
from aaeframe.model.priors import is_trained
from aaeframe.protocols import Batch, SupportsBinding, SupportsFollowing, SupportsLabels
from aaeframe.seeds import stream

STEPS: Final = 64
"""The largest number of steps whose samples are drawn at once."""
MOST_BYTES: Final = 64 * 2**20
"""The memory limit for samples that are drawn at once, in bytes of float32. One step may need more."""


class PriorSamples:
    """Samples of each prior, as many as a minibatch has rows.

    Samples for a step come from a random stream of their own, so a resumed run draws the same. A fixed prior is
    sampled for a block of steps in one call, and each step takes its part. A prior that is trained, follows the codes
    or is made from the encoder is sampled at each step. Several processes draw the samples of the whole minibatch, and
    each takes its part. Without a seed, or for a batch that is of no run, samples
    come from torch's global generator.
    """

    def __init__(self, model: Autoencoder, softening: Mapping[str, float], seed: int | None) -> None:
        self._model, self._softening, self._seed = model, softening, seed
        self._steps = cache(self._steps_at_once)  # to ask a prior for its protocols takes longer than to draw
        self._kept: dict[str, tuple[tuple[int, ...], list[Segment]]] = {}

    def __call__(self, name: str, batch: Batch) -> list[Segment]:
        """The samples of one block for this minibatch: for unlabeled rows, and with classes for the labeled ones."""
        rows, labeled = len(batch.x), 0 if batch.labeled is None else len(batch.labeled.x)
        if self._seed is None or batch.step is None:
            return _at(0, self._drawn(name, 1, rows, labeled))
        rows, labeled = rows * processes.size(), labeled * processes.size()
        steps = self._steps(name, rows + labeled)
        block, place = divmod(batch.step, steps)
        wanted = (block, rows, labeled)
        known, segments = self._kept.get(name, ((), []))
        if known != wanted:
            number = list(self._model.priors).index(name)  # not the name: a block may be called otherwise
            with (
                stream(self._seed, "prior", number, block, device=self._model.device),
                processes.unsynchronized(self._model.priors[name]),
            ):
                segments = self._drawn(name, steps, rows, labeled)
            if steps > 1:
                self._kept[name] = wanted, segments
        return _own(_at(place, segments))

    def _steps_at_once(self, name: str, rows: int) -> int:
        """The number of steps in a block; it must depend on the configuration alone."""
        prior = self._model.priors[name]
        if is_trained(prior) or isinstance(prior, SupportsFollowing | SupportsBinding):
            return 1
        return max(1, min(STEPS, MOST_BYTES // (4 * rows * math.prod(prior.event_shape))))

    def _drawn(self, name: str, steps: int, rows: int, labeled: int) -> list[Segment]:
        """The samples of a block of steps: z (steps, rows, *event_shape), and labels (steps, rows) if there are any."""
        prior, device = self._model.priors[name], self._model.device
        if not labeled or not isinstance(prior, SupportsLabels):
            z = self._soft(name, sample(prior, steps * (rows + labeled), device))
            return [Segment(z.unflatten(0, (steps, -1)), None, from_prior=True)]
        unlabeled = sample(prior, steps * rows, device).unflatten(0, (steps, -1))
        extra = torch.full((rows,), prior.num_classes, device=device).expand(steps, -1)
        z, labels = (it.unflatten(0, (steps, -1)) for it in sample_labeled(prior, steps * labeled, device))
        return [Segment(unlabeled, extra, from_prior=True), Segment(z, labels, from_prior=True)]

    def _soft(self, name: str, y: Tensor) -> Tensor:
        """One-hot samples moved off the corners of the simplex, where no softmax can follow them."""
        share = self._softening.get(name, 0.0)
        if not share:
            return y
        uniform = Dirichlet(torch.ones(y.shape[-1], device=y.device), validate_args=False)  # a check would wait
        return (1 - share) * y + share * uniform.sample(y.shape[:1])


def _own(segments: list[Segment]) -> list[Segment]:
    """The part of the samples that belongs to this process."""
    if processes.size() == 1:
        return segments
    parts = [processes.share(len(it.z)) for it in segments]
    return [
        Segment(z[part], None if labels is None else labels[part], prior)
        for part, (z, labels, prior) in zip(parts, segments, strict=True)
    ]


def _at(place: int, segments: list[Segment]) -> list[Segment]:
    """The samples of one step of a block."""
    return [Segment(z[place], None if labels is None else labels[place], prior) for z, labels, prior in segments]
