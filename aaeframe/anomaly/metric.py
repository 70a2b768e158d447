"""The metric `anomaly`: how well a score ranks the anomalies among the evaluated rows."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from aaeframe.anomaly.density import fit_density
from aaeframe.anomaly.scores import Kind, check_kind, scores
from aaeframe.errors import DataError
from aaeframe.evaluation.class_reports import decoder_labels
from aaeframe.evaluation.metrics import Evaluated, Metric


def anomaly_metric(
    *,
    kind: Annotated[Kind, Field(description="density, reconstruction, prior or discriminator")] = "density",
    anomalies: Annotated[str, Field(description="name of the class that is the anomalies")] = "1",
) -> Metric:
    """AUROC and average precision of an anomaly score, where one class is the anomalies."""

    def measured(it: Evaluated) -> dict[str, float]:
        from sklearn.metrics import average_precision_score, roc_auc_score

        check_kind(it.model, kind)
        rows, names = it.rows.labeled, it.dataset.class_names or ()
        if rows.labels is None or anomalies not in names:
            known = f"has the classes {', '.join(names[:12])}" if names else "has no labels"
            raise DataError(f'{it.dataset.name} {known}, and no class {anomalies!r}: write anomaly(anomalies="NAME")')
        odd = rows.labels == names.index(anomalies)
        if not 0 < odd.sum() < len(odd):
            raise DataError(
                f"{odd.sum()} of {len(odd)} rows of {it.split} are anomalies; both kinds of rows are needed"
            )
        density = fit_density(it.model, it.dataset.train) if kind == "density" else None
        found = scores(it.model, rows, kind, labels=decoder_labels(it.model, rows), density=density)
        return {"auroc": roc_auc_score(odd, found), "average_precision": average_precision_score(odd, found)}

    return measured
