"""The catalogue of metrics; torch-free."""

from __future__ import annotations

from aaeframe import Component, hookimpl

_NAMED = "aaeframe.evaluation.named"


@hookimpl
def aaeframe_metrics() -> list[Component]:
    """The measures of the evaluation's report that are numbers of codes, with options of their own."""
    return [
        Component(
            "sliced-wasserstein",
            f"{_NAMED}:sliced_wasserstein_metric",
            "distance of codes and prior, over random directions",
        ),
        Component("mmd", f"{_NAMED}:mmd_metric", "squared maximum mean discrepancy of codes and prior"),
        Component(
            "two-sample", f"{_NAMED}:two_sample_metric", "accuracy of a classifier that tells codes from prior samples"
        ),
        Component(
            "class-agreement",
            f"{_NAMED}:class_agreement_metric",
            "share of codes in their class's component of a labeled prior",
        ),
        Component("clusters", f"{_NAMED}:clusters_metric", "agreement of the class block, as clusters, with classes"),
        Component(
            "anomaly", "aaeframe.anomaly.metric:anomaly_metric", "AUROC of anomalies by a score, if classes are 0/1"
        ),
    ]
