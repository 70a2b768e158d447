"""The factories of our metrics by name, each with options that the report of `evaluate` does not have."""

from __future__ import annotations

from typing import Annotated, Any, cast

import torch
from pydantic import Field
from torch import Tensor

from aaeframe.errors import DataError
from aaeframe.evaluation.class_agreement import LabeledPrior, class_agreement
from aaeframe.evaluation.class_reports import labeled, named_by
from aaeframe.evaluation.clustering import clustering_report, name_clusters
from aaeframe.evaluation.matching import categories
from aaeframe.evaluation.metrics import Evaluated, Metric
from aaeframe.evaluation.mmd import mmd
from aaeframe.evaluation.two_sample import LEAST_ROWS, MAX_ROWS, classifier_two_sample
from aaeframe.evaluation.wasserstein import sliced_wasserstein
from aaeframe.protocols import SupportsLabels
from aaeframe.seeds import derive


def sliced_wasserstein_metric(
    *, projections: Annotated[int, Field(ge=1, description="number of random directions")] = 200
) -> Metric:
    """The sliced Wasserstein distance of the codes of each block to one set of prior samples."""

    def measured(it: Evaluated) -> dict[str, float]:
        return {
            name: sliced_wasserstein(z, p, projections=projections, generator=torch.default_generator)
            for name, z, p in _pairs(it)
        }

    return measured


def mmd_metric() -> Metric:
    """The squared maximum mean discrepancy of the codes of each block and one set of prior samples."""
    return lambda it: {name: mmd(z, p) for name, z, p in _pairs(it)}


def two_sample_metric(
    *, rows: Annotated[int, Field(ge=LEAST_ROWS, description="most rows of each set")] = MAX_ROWS
) -> Metric:
    """The larger accuracy of two classifiers between the codes of each block and one set of prior samples.

    Of a block of one-hot vectors they see the most probable category of each code.
    """

    def measured(it: Evaluated) -> dict[str, float]:
        return {
            name: classifier_two_sample(
                categories(z, it.model.priors[name]), p, rows=rows, generator=torch.default_generator
            ).accuracy
            for name, z, p in _pairs(it)
        }

    return measured


def class_agreement_metric(
    *, samples: Annotated[int, Field(ge=1, description="labeled prior samples to compare with")] = 10_000
) -> Metric:
    """The share of codes whose nearest prior sample is of their class, of each block whose prior has the classes."""

    def measured(it: Evaluated) -> dict[str, float]:
        found = {}
        for name, z in it.codes.items():
            prior: Any = it.model.priors[name]
            if isinstance(prior, SupportsLabels) and prior.num_classes == it.dataset.num_classes:
                seed = derive(it.seed, "classes", name)
                known, known_prior = labeled(z, _labels(it)), cast(LabeledPrior, prior)
                found[name] = class_agreement(*known, known_prior, seed=seed, samples=samples).agreement
        if not found:
            raise DataError(f"no prior has labeled samples of {it.dataset.num_classes} classes, those of the data")
        return found

    return measured


def clusters_metric() -> Metric:
    """The agreement of the class block with the classes of labeled rows, as clusters: errors, NMI, Rand index."""

    def measured(it: Evaluated) -> dict[str, float]:
        if it.model.class_block is None:
            raise DataError("the model has no class block")
        y, labels = labeled(it.codes[it.model.class_block], _labels(it))
        names = name_clusters(*named_by(it.model, it.dataset, it.seed))
        return {name: value for name, value in clustering_report(y, labels, names).as_dict().items()}

    return measured


def _pairs(it: Evaluated) -> list[tuple[str, Tensor, Tensor]]:
    return [(name, z, it.prior_samples[name]) for name, z in it.codes.items()]


def _labels(it: Evaluated) -> Any:
    if it.rows.labels is None or not len(it.rows.labeled):
        raise DataError(f"the {it.split} rows of {it.dataset.name} have no labels")
    return it.rows.labels
