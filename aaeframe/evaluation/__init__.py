"""Evaluation on held-out data: match with the prior, classes, reconstruction."""

from __future__ import annotations

from aaeframe.evaluation.class_agreement import ClassAgreement, class_agreement
from aaeframe.evaluation.classification import Classification, classification_report
from aaeframe.evaluation.clustering import Clustering, clustering_report, name_clusters
from aaeframe.evaluation.leakage import Leakage, leakage
from aaeframe.evaluation.matching import (
    BlockMatch,
    TwoSample,
    classifier_two_sample,
    match,
    mmd,
    sliced_wasserstein,
)
from aaeframe.evaluation.metrics import Evaluated, Metric
from aaeframe.evaluation.reconstruction import (
    ReconstructionReport,
    mean_image_error,
    reconstruction_error,
    reconstruction_report,
)

__all__ = [
    "BlockMatch",
    "ClassAgreement",
    "Classification",
    "Clustering",
    "Evaluated",
    "Leakage",
    "Metric",
    "ReconstructionReport",
    "TwoSample",
    "class_agreement",
    "classification_report",
    "classifier_two_sample",
    "clustering_report",
    "leakage",
    "match",
    "mean_image_error",
    "mmd",
    "name_clusters",
    "reconstruction_error",
    "reconstruction_report",
    "sliced_wasserstein",
]
