"""Classes of a model: the class block against labels, and how much of the class leaks into the style."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from aaeframe.data import Dataset, Split
from aaeframe.errors import DataError
from aaeframe.evaluation.classification import classification_report
from aaeframe.evaluation.clustering import clustering_report, name_clusters
from aaeframe.evaluation.leakage import MAX_FIT_ROWS, leakage
from aaeframe.model.autoencoder import Autoencoder
from aaeframe.protocols import ClassMetric
from aaeframe.seeds import generator


def class_reports(
    model: Autoencoder,
    dataset: Dataset,
    rows: Split,
    codes: Mapping[str, Tensor],
    seed: int,
    class_metric: ClassMetric | None,
) -> dict[str, Any]:
    """The reports "classification" or "clustering" of the class block, and "leakage" by block, on labeled rows.

    Reports that are not possible are left out: all without labeled rows, clusters without labeled validation rows, a
    probe on rows of one class.
    Clusters are assigned to classes on validation rows, and the probe is fitted to training rows; `rows` are only
    evaluated.
    """
    if rows.labels is None or not len(rows.labeled):
        return {}
    labels = torch.from_numpy(rows.labels[rows.labels >= 0])
    codes = {name: labeled(z, rows.labels)[0] for name, z in codes.items()}
    found: dict[str, Any] = {}
    named = len(dataset.validation.labeled) > 0
    if model.class_block is not None and (class_metric == "classification" or (class_metric == "clustering" and named)):
        y = codes[model.class_block]
        if class_metric == "classification":
            found["classification"] = classification_report(y, labels).as_dict()
        else:
            names = name_clusters(*named_by(model, dataset, seed))
            found["clustering"] = {**clustering_report(y, labels, names).as_dict(), "names": names.tolist()}
    if knows_classes(model):
        found["leakage"] = _leakage(model, dataset, labels, codes, seed)
    return found


def class_error(y: Tensor, labels: Tensor, named_y: Tensor, named_labels: Tensor, class_metric: ClassMetric) -> float:
    """The share of rows with a wrong class. Clusters are assigned to classes by the second pair."""
    if class_metric == "classification":
        return classification_report(y, labels).error
    return clustering_report(y, labels, name_clusters(named_y, named_labels)).error


def labeled(z: Tensor, labels: np.ndarray) -> tuple[Tensor, Tensor]:
    """The codes and the labels of those rows (N,) that have a label."""
    known = np.flatnonzero(labels >= 0)
    return z[torch.from_numpy(known).to(z.device)], torch.from_numpy(labels[known])


def knows_classes(model: Autoencoder) -> bool:
    """Whether the model separates class and style, by a class block or by labels for the decoder."""
    return model.class_block is not None or model.representation.takes_labels


def decoder_labels(model: Autoencoder, rows: Split) -> Tensor | None:
    """The labels for decoding these rows, or None if the decoder takes none; DataError if labels are missing."""
    if not model.representation.takes_labels:
        return None
    if rows.labels is None or (rows.labels < 0).any():
        missing = len(rows) - len(rows.labeled)
        raise DataError(
            f"this model decodes a code together with its class; {missing} of {len(rows)} rows have no label"
        )
    return torch.from_numpy(rows.labels)


def named_by(model: Autoencoder, dataset: Dataset, seed: int) -> tuple[Tensor, Tensor]:
    """The pair q(y|x) and labels of all validation rows."""
    held = dataset.validation
    if held.labels is None or model.class_block is None:
        raise DataError("clusters are named by the labels of validation rows, and this data has none")
    noise = generator(seed, "evaluation", "names")
    y = model.encode(held, draws=1, generator=noise)[model.class_block][0]
    return labeled(y, held.labels)


def _leakage(
    model: Autoencoder, dataset: Dataset, labels: Tensor, codes: Mapping[str, Tensor], seed: int
) -> dict[str, Any]:
    """The accuracy of a linear probe of the class on each block that is not the class block."""
    train, classes = dataset.train.labeled, dataset.num_classes
    if train.labels is None or classes is None or not len(train):
        return {}
    index = np.linspace(0, len(train) - 1, min(MAX_FIT_ROWS, len(train))).astype(np.int64)
    fit = model.encode(train.take(index), draws=1, generator=generator(seed, "evaluation", "probe"))
    fit_labels = torch.from_numpy(train.labels[index])
    if len(fit_labels.unique()) < 2:  # a probe needs two classes
        return {}
    return {
        name: leakage(fit[name][0], fit_labels, z, labels, num_classes=classes).as_dict()
        for name, z in codes.items()
        if name != model.class_block
    }
