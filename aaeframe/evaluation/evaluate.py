"""Evaluate a model on one split: match, reconstruction and classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from aaeframe.data import Dataset, Split
from aaeframe.data.statistics import mean
from aaeframe.evaluation.class_agreement import LabeledPrior, class_agreement
from aaeframe.evaluation.class_reports import class_reports, decoder_labels, labeled
from aaeframe.evaluation.matching import match
from aaeframe.evaluation.metrics import Evaluated, NamedMetric, measure
from aaeframe.evaluation.reconstruction import reconstruction_report
from aaeframe.model.autoencoder import Autoencoder, Rows
from aaeframe.protocols import ClassMetric, Code, SupportsLabels
from aaeframe.seeds import derive, generator

MISSED = 0.75
"""A run is said to miss its prior if the 95 % interval of the two-sample test is above this accuracy."""
FAR = 0.05
"""The MMD² above its floor from which a run is said to miss its prior where the two-sample test was left out."""
SOFT = 0.25
"""The share of log K, the largest entropy, above which codes of a one-hot block are said to miss their prior."""


def evaluate(
    model: Autoencoder,
    dataset: Dataset,
    split: str,
    seed: int,
    *,
    num_labels: int = 0,
    class_metric: ClassMetric | None = None,
    metrics: Sequence[NamedMetric] = (),
    two_sample: bool = True,
) -> dict[str, Any]:
    """Measure a model on "validation" or "test" (or "train") rows; JSON-like.

    The report has "split", "rows", "seed", "reconstruction" (error, mean_image_error, ratio, shuffled_error) and
    "blocks". Codes are one draw of q(z | x) each. Each measure of a block has a floor next to it. `num_labels` is the
    number of labels used in training; it is stored next to the agreement of codes and classes. A measure that needs
    more rows, or data that vary, is None. Without `two_sample` the classifier test is left out.

    With labeled rows it also has "classification" or "clustering" of the class block, as `class_metric` says. A model
    that separates class and style has "leakage", the class information in each other block. With `metrics` it has
    "metrics", their numbers by key, None for one that failed, and "metric_errors" of these.
    """
    rows = dataset.split(split)
    codes = one_draw(model, rows, generator(seed, "evaluation", "noise"))
    reconstruction = reconstruction_report(
        _Scaled(model, rows),
        _Decoded(model, codes, decoder_labels(model, rows)),
        model.scale(train_mean(dataset.train).to(model.device)),
        generator=generator(seed, "evaluation", "shuffle"),
    )
    blocks = {name: _block(model, dataset, rows, name, z, seed, two_sample) for name, z in codes.items()}
    for block in blocks.values():
        if "classes" in block:
            block["classes"]["num_labels"] = num_labels
    report = {
        "split": split,
        "rows": len(rows),
        "seed": seed,
        "reconstruction": reconstruction.as_dict(),
        "blocks": blocks,
        **class_reports(model, dataset, rows, codes, seed, class_metric),
    }
    if not metrics:
        return report
    return {**report, **measure(metrics, Evaluated(model, dataset, split, codes, seed))}


def misses(report: Mapping[str, Any]) -> list[str]:
    """A sentence for each block whose codes do not follow its prior.

    The two-sample test of the report decides. Where it was left out, the MMD does, which sees gross misses only: a code
    of eight dimensions of which one is constant goes unnoticed. One-hot blocks must also be sharp: in soft codes a
    decoder reads more than a category.
    """
    found = (
        (name, (_tested(block) if block["tested"] else _distance(block)) or _soft(block))
        for name, block in report["blocks"].items()
    )
    return [
        f"the codes of block {name!r} do not follow its prior: {why}. Samples of the prior may decode to nothing like "
        "the data; train longer, or give the discriminator or the encoder more capacity"
        for name, why in found
        if why
    ]


def _tested(block: Mapping[str, Any]) -> str:
    accuracy, interval = block["two_sample"], block["two_sample_interval"]
    if accuracy is None or interval[0] <= MISSED:
        return ""
    return f"a classifier tells them from prior samples in {accuracy:.0%} of cases, where half would be a perfect match"


def _distance(block: Mapping[str, Any]) -> str:
    found, floor = block["mmd"], block["mmd_floor"]
    if found is None or found - floor <= FAR:
        return ""
    return f"their squared maximum mean discrepancy to it is {found:.2g}, that of prior samples {floor:.2g}"


def _soft(block: Mapping[str, Any]) -> str:
    found = block.get("code_entropy")  # that reports of older versions lack
    if found is None or found <= SOFT * block["uniform_entropy"]:
        return ""
    return f"their mean entropy is {found:.2g} nats, where samples have 0"


def train_mean(split: Split) -> Tensor:
    """The mean row of a split, (*shape) in the user's units, read in chunks: float32, or float64 for such data."""
    found = torch.from_numpy(mean(split))
    return found if split.dtype == np.float64 else found.float()


def _block(
    model: Autoencoder, dataset: Dataset, rows: Split, name: str, z: Tensor, seed: int, two_sample: bool
) -> dict[str, Any]:
    prior = model.priors[name]
    matched = match(z, prior, seed=derive(seed, "evaluation", name), two_sample=two_sample)
    report: dict[str, Any] = matched.as_dict()
    if (
        rows.labels is not None
        and len(rows.labeled)
        and isinstance(prior, SupportsLabels)
        and prior.num_classes == dataset.num_classes
    ):
        z, labels = labeled(z, rows.labels)
        known = cast(LabeledPrior, prior)
        report["classes"] = class_agreement(z, labels, known, seed=derive(seed, "classes", name)).as_dict()
    return report


@dataclass(frozen=True)
class _Scaled:
    """Rows of a split in the model's units, each read when requested."""

    model: Autoencoder
    rows: Split

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Tensor) -> Tensor:
        return self.model.scale(torch.from_numpy(self.rows.rows(index.numpy())).to(self.model.device))


@dataclass(frozen=True)
class _Decoded:
    """Reconstructions in the model's units, each decoded when requested."""

    model: Autoencoder
    codes: Code
    labels: Tensor | None

    def __len__(self) -> int:
        return len(next(iter(self.codes.values())))

    def __getitem__(self, index: Tensor) -> Tensor:
        codes = {name: z[index.to(z.device)] for name, z in self.codes.items()}
        return self.model.scale(self.model.decode(codes, None if self.labels is None else self.labels[index]))


def one_draw(model: Autoencoder, x: Rows, noise: torch.Generator) -> dict[str, Tensor]:
    """One draw of q(z | x) for each row, by block."""
    return {name: z[0] for name, z in model.encode(x, draws=1, generator=noise).items()}
