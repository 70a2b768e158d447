"""What a trained model is worth on held-out data: the match of codes and prior, classes, reconstruction."""

from __future__ import annotations

from aaeframe.evaluation.classes import ClassAgreement, class_agreement
from aaeframe.evaluation.matching import (
    BlockMatch,
    TwoSample,
    classifier_two_sample,
    match,
    mmd,
    sliced_wasserstein,
)
from aaeframe.evaluation.reconstruction import (
    ReconstructionReport,
    mean_image_error,
    reconstruction_error,
    reconstruction_report,
)

__all__ = [
    "BlockMatch",
    "ClassAgreement",
    "ReconstructionReport",
    "TwoSample",
    "class_agreement",
    "classifier_two_sample",
    "match",
    "mean_image_error",
    "mmd",
    "reconstruction_error",
    "reconstruction_report",
    "sliced_wasserstein",
]
