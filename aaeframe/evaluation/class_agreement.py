"""The share of codes in the component of their class, for a prior that has classes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Final, Protocol

import torch
from torch import Tensor

from aaeframe.errors import DataError
from aaeframe.evaluation.inputs import as_labels, as_rows
from aaeframe.protocols import Prior, SupportsLabels
from aaeframe.seeds import stream

CHUNK: Final = 1_000
"""The number of codes whose distances to all samples are in memory at once: 80 MB at 10,000 samples."""


class LabeledPrior(Prior, SupportsLabels, Protocol):
    """A prior whose samples come with their class."""


@dataclass(frozen=True)
class ClassAgreement:
    """Shares of rows, each in [0, 1]."""

    agreement: float
    """The share of codes whose nearest prior sample is of their own class."""
    prior_agreement: float
    """The same share for fresh prior samples: the value of a perfect match."""
    chance: float
    """1 / classes: the value of codes that match the prior but do not depend on the class, if classes are equally
    likely."""

    def as_dict(self) -> dict[str, float]:
        """Name to number, for JSON."""
        return asdict(self)


def class_agreement(
    codes: Tensor, labels: Tensor, prior: LabeledPrior, *, seed: int, samples: int = 10_000
) -> ClassAgreement:
    """Score codes (N, *event_shape) by the class of the nearest of `samples` labeled prior samples (Euclidean).

    `prior_agreement` scores as many fresh labeled samples of the prior against the same ones. The result depends on the
    seed alone, and the caller's random state is not changed. DataError if codes and labels (N,) do not fit each other
    or the prior.
    """
    rows = as_rows(codes, "codes")
    truth = as_labels(labels, len(rows), num_classes=prior.num_classes)
    with stream(seed, "class_agreement", device=codes.device):
        known, known_labels = _draw(prior, samples)
        fresh, fresh_labels = _draw(prior, samples)
    if known.shape[1] != rows.shape[1]:
        raise DataError(f"the prior's samples have {known.shape[1]} numbers, the codes {rows.shape[1]}")
    return ClassAgreement(
        agreement=_share(known_labels[_nearest(rows, known)] == truth),
        prior_agreement=_share(known_labels[_nearest(fresh, known)] == fresh_labels),
        chance=1 / prior.num_classes,
    )


def _draw(prior: LabeledPrior, count: int) -> tuple[Tensor, Tensor]:
    value, labels = prior.sample_labeled(torch.Size([count]))
    return as_rows(value, "prior samples"), labels.detach().cpu()


def _nearest(rows: Tensor, known: Tensor) -> Tensor:
    """The index (N,) of the nearest of the known rows."""
    return torch.cat([torch.cdist(part, known).argmin(1) for part in rows.split(CHUNK)])


def _share(right: Tensor) -> float:
    return right.double().mean().item()
