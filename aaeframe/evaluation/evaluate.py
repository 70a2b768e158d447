"""What a model is worth on one split: match and reconstruction side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from aaeframe import supports
from aaeframe.data import Dataset, Split
from aaeframe.evaluation.class_agreement import LabeledPrior, class_agreement
from aaeframe.evaluation.class_reports import Judge, class_error, class_reports, decoder_labels
from aaeframe.evaluation.matching import match
from aaeframe.evaluation.reconstruction import reconstruction_report
from aaeframe.evaluation.wasserstein import sliced_wasserstein
from aaeframe.losses.adversarial import reconstruction_loss
from aaeframe.model.autoencoder import Autoencoder, Rows, draw
from aaeframe.protocols import Code, SupportsLabels
from aaeframe.seeds import derive, generator, stream

CHUNK = 4096
CHUNK_BYTES = 2**26
"""In float64, of rows that are looked at together."""


def evaluate(
    model: Autoencoder,
    dataset: Dataset,
    split: str,
    seed: int,
    *,
    labels_told: int = 0,
    judged_by: Judge | None = None,
) -> dict[str, Any]:
    """Measure a model on "validation" or "test" (or "train") rows; JSON-like.

    Codes are one draw of q(z | x) each. {"split", "rows", "reconstruction": {error, mean_image_error, ratio,
    shuffled_error}, "blocks": {name: {sliced_wasserstein, ..., each beside its floor, "classes": ...}}}. `labels_told`
    is how many labels the training was told; it stands beside what the classes of codes are worth. A measure that
    needs more rows than there are, or data that vary, is None.

    Where rows are labeled: "classification" or "clustering" of the model's class block, as `judged_by` says; and
    "leakage", what each other block tells of the class, of a model that keeps classes apart from style.
    """
    rows = dataset.split(split)
    codes = _one_draw(model, rows, generator(seed, "evaluation", "noise"))
    reconstruction = reconstruction_report(
        _Scaled(model, rows),
        _Decoded(model, codes, decoder_labels(model, rows)),
        model.scale(train_mean(dataset.train).to(model.device)),
        generator=generator(seed, "evaluation", "shuffle"),
    )
    blocks = {name: _block(model, dataset, rows, name, z, seed) for name, z in codes.items()}
    for block in blocks.values():
        if "classes" in block:
            block["classes"]["labels_told"] = labels_told
    return {
        "split": split,
        "rows": len(rows),
        "seed": seed,
        "reconstruction": reconstruction.as_dict(),
        "blocks": blocks,
        **class_reports(model, dataset, rows, codes, seed, judged_by),
    }


def train_mean(split: Split) -> Tensor:
    """The mean row of a split, (*shape) float32 in the user's units, read in chunks."""
    total = torch.zeros(split.shape, dtype=torch.float64)
    for part in split.chunks(max(1, min(CHUNK, CHUNK_BYTES // (8 * total.numel())))):
        total += torch.from_numpy(part).double().sum(0)
    return (total / len(split)).float()


class Validation:
    """The quick look after each epoch, at no more than 1,000 validation rows; moves no global random state."""

    def __init__(self, dataset: Dataset, seed: int, device: torch.device, *, judged_by: Judge | None = None) -> None:
        rows = torch.linspace(0, len(dataset.validation) - 1, min(1000, len(dataset.validation))).long()
        self._x = torch.from_numpy(dataset.validation.rows(rows.numpy())).to(device)
        self._mean = train_mean(dataset.train).to(device)
        labels = dataset.validation.labels
        self._labels = None if labels is None else torch.from_numpy(labels[rows.numpy()]).to(device)
        self._seed, self._device, self._judged_by = seed, device, judged_by

    def __call__(self, model: Autoencoder, epoch: int) -> dict[str, float]:
        """validation/reconstruction and mean_image_error; and of each block mismatch, the sliced Wasserstein distance
        of codes and prior samples, and mismatch_floor, that of two sets of prior samples. Of a one-hot block also
        entropy, that of the mean code, and uncertainty, the mean of the codes' own, in nats.

        validation/error, where there are labels and a class block to judge: the share of wrong classes; of clusters
        that are named by these very rows.
        """
        with torch.no_grad(), stream(self._seed, "validation", epoch, device=self._device):
            codes = _one_draw(model, self._x, generator(self._seed, "validation", "noise", epoch))
            told = self._labels if model.representation.takes_labels else None
            x, x_hat = model.scale(self._x), model.scale(model.decode(codes, told))
            row = {
                "validation/reconstruction": float(reconstruction_loss(x_hat, x)),
                "mean_image_error": float(reconstruction_loss(model.scale(self._mean).expand_as(x), x)),
            }
            for name, z in codes.items():
                row |= self._look(model, name, z, epoch)
            if self._judged_by is not None and self._labels is not None and model.class_block is not None:
                y = codes[model.class_block]
                row["validation/error"] = class_error(y, self._labels, y, self._labels, self._judged_by)
        return row

    def _look(self, model: Autoencoder, name: str, z: Tensor, epoch: int) -> dict[str, float]:
        prior = model.priors[name]
        samples, others = (draw(prior, len(z), z.device) for _ in range(2))

        def distance(to: Tensor) -> float:
            directions = generator(self._seed, "validation", "directions", epoch)
            return sliced_wasserstein(to.flatten(1), samples.flatten(1), projections=50, generator=directions)

        look = {f"mismatch/{name}": distance(z), f"mismatch_floor/{name}": distance(others)}
        if supports.is_one_hot(prior.support):
            look[f"entropy/{name}"] = float(torch.special.entr(z.double().mean(0)).sum())
            look[f"uncertainty/{name}"] = float(torch.special.entr(z.double()).sum(1).mean())
            look[f"classes/{name}"] = z.shape[1]
        return look


def _block(model: Autoencoder, dataset: Dataset, rows: Split, name: str, z: Tensor, seed: int) -> dict[str, Any]:
    prior = model.priors[name]
    report: dict[str, Any] = match(z, prior, seed=derive(seed, "evaluation", name)).as_dict()
    if rows.labels is not None and isinstance(prior, SupportsLabels) and prior.num_classes == dataset.num_classes:
        labels = torch.from_numpy(rows.labels)
        known = cast(LabeledPrior, prior)
        report["classes"] = class_agreement(z, labels, known, seed=derive(seed, "classes", name)).as_dict()
    return report


@dataclass(frozen=True)
class _Scaled:
    """Rows of a split in the model's units, each read when it is asked for."""

    model: Autoencoder
    rows: Split

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Tensor) -> Tensor:
        return self.model.scale(torch.from_numpy(self.rows.rows(index.numpy())).to(self.model.device))


@dataclass(frozen=True)
class _Decoded:
    """Reconstructions in the model's units, each decoded when it is asked for."""

    model: Autoencoder
    codes: Code
    labels: Tensor | None

    def __len__(self) -> int:
        return len(next(iter(self.codes.values())))

    def __getitem__(self, index: Tensor) -> Tensor:
        codes = {name: z[index.to(z.device)] for name, z in self.codes.items()}
        return self.model.scale(self.model.decode(codes, None if self.labels is None else self.labels[index]))


def _one_draw(model: Autoencoder, x: Rows, noise: torch.Generator) -> dict[str, Tensor]:
    return {name: z[0] for name, z in model.encode(x, draws=1, generator=noise).items()}
