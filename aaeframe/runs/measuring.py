"""A run on rows that it was not trained on: its evaluation, its likelihood, and the log of accesses to test rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.distributions import constraints

from aaeframe.components.registry import Registry
from aaeframe.configuration.objects import places
from aaeframe.data import Dataset
from aaeframe.data.identity import digest
from aaeframe.errors import DataError, ReadOnly
from aaeframe.evaluation.evaluate import evaluate, misses
from aaeframe.evaluation.likelihood import (
    CHUNK,
    VALIDATION_ROWS,
    Decoded,
    Progress,
    Ranks,
    check_count,
    estimate,
    memory_for_samples,
)
from aaeframe.evaluation.metrics import Metric, named_metrics
from aaeframe.evaluation.resumable import Keep
from aaeframe.global_state import PATCHABLE, restoring
from aaeframe.protocols import ClassMetric
from aaeframe.storage.shards import Share
from aaeframe.torch_state import default_state
from aaeframe.training.device import check_precision

if TYPE_CHECKING:
    from aaeframe.runs.run import Run


@default_state()
@restoring("a component of the run", PATCHABLE)
def evaluate_run(
    run: Run,
    data: Any,
    *,
    split: str,
    metrics: str | Metric | Sequence[str | Metric],
    two_sample: bool,
    warn: Callable[[str], None],
) -> dict[str, Any]:
    """Match, reconstruction and classes of a run on a split: see `Run.evaluate`."""
    if data is not None and not isinstance(data, Dataset):
        data, split = run.unseen(data), "test"
    data, labels = run.own_classes(data or run.dataset()), run.config.data.labels
    stored = run.config.evaluation.metrics
    given = [metrics] if isinstance(metrics, str) or callable(metrics) else metrics
    asked = [*given, *(["anomaly"] if _has_anomalies(run, data, split) else ())]
    wanted = named_metrics(asked, run.registry or Registry.load(), stored=stored) if asked or stored else []
    rows = _rows_of(run, data, split)
    log_access(run, data, split, "evaluate", warn)
    report = evaluate(
        run.model,
        data,
        split,
        run.config.training.seed,
        num_labels=len(data.train.labeled) if labels == "all" else labels,
        class_metric=_class_metric(run),
        metrics=wanted,
        two_sample=two_sample,
    )
    for sentence in misses(report):
        warn(sentence)
    for key, why in report.get("metric_errors", {}).items():
        warn(f"the metric {key} failed, and its number is missing: {why}")
    report = {**report, "split": rows, "step": run.step, "raw_weights": run.raw_weights}
    _report(run, rows, report, warn)
    return report


@default_state()
@restoring("a component of the run", PATCHABLE)
def estimate_likelihood(
    run: Run,
    dataset: Dataset | None,
    split: str,
    samples: int,
    *,
    precision: str,
    progress: Progress,
    store: bool,
    warn: Callable[[str], None],
    ranks: Ranks,
) -> dict[str, Any]:
    """The Parzen log-likelihood of a split under samples that a run decodes: see `Run.likelihood`."""
    check_precision(precision, run.model.device)
    check_count(samples)
    samples = int(samples)  # JSON has no integers of numpy
    data, seed = chosen(run, dataset), run.config.training.seed
    scaled = data.spec.support is constraints.unit_interval
    held = data.split("validation")
    validation = held.rows(np.arange(min(VALIDATION_ROWS, len(held))))
    rows = _rows_of(run, data, split)
    first = ranks.share.index == 0
    inexact = {} if precision == "fp32" else {"precision": precision}
    identity = {"split": rows, "samples": samples, "seed": seed, "chunk": CHUNK, **inexact}
    keep = _keep(run, identity, ranks.share) if store else None
    if first and (keep is None or not keep.found):  # a resumed estimate was logged already
        log_access(run, data, split, ", ".join(["likelihood", f"{samples} samples", *inexact.values()]), warn)
        if keep is not None and keep.others:
            warn(
                f"{keep.others[0]} is of another number of processes than {ranks.share.count}, so the estimate "
                "starts anew; stop it and start as many processes as before to resume that one"
            )
    found = estimate(
        _judged(run, data, data.split(split).array()),
        Decoded(run.model, samples, seed, scaled, precision, memory_for_samples(run.model.device)),
        validation=_judged(run, data, validation),
        keep=keep,
        progress=progress,
        ranks=ranks,
    )
    units = "scaled to [0, 1]" if scaled else "as the data"
    where = {"split": rows, "units": units, "seed": seed, "step": run.step, "raw_weights": run.raw_weights}
    report = {**where, **inexact, **found.as_dict()}
    if split == "validation":
        report["warning"] = (
            "these rows chose the bandwidth, so their likelihood is optimistic; evaluate others, such as test"
        )
    name = ", ".join([f"{rows} likelihood", f"{samples} samples", *inexact.values()])
    if store and first and run.home is not None:
        run.home.write_evaluation(name, report)
    ranks.gather(b"")  # waits: no process discards its progress before the report is written
    if keep is not None:
        keep.remove()
    if keep is not None and first:
        keep.remove_others()
    if first:
        _report(run, name, report, warn)
    return report


def _class_metric(run: Run) -> ClassMetric | None:
    return run.needs.class_metric(run.config.data.labels)


def _has_anomalies(run: Run, data: Dataset, split: str) -> bool:
    """Whether the labels of rows say which are anomalies: 0 and 1 both occur, and the run does not learn them."""
    labels = data.split(split).labels
    if data.class_names != ("0", "1") or labels is None or _class_metric(run) is not None:
        return False
    return not run.config.data.labels and {0, 1} <= set(labels.tolist())


def _report(run: Run, name: str, report: Mapping[str, Any], warn: Callable[[str], None]) -> None:
    """Tell the observers of an evaluation."""
    if run.reporting is not None:
        run.reporting.reported(name, report, warn)


def _rows_of(run: Run, dataset: Dataset, split: str) -> str:
    """The name of a split in reports, with that of the data if it is not the run's own."""
    own = run.data["digests"].get("training" if split == "train" else split)
    return split if own and own == digest(dataset.split(split)) else f"{split} of {dataset.name}"


def chosen(run: Run, dataset: Dataset | None) -> Dataset:
    """The data set, by default that of the training. DataError for any other object."""
    if dataset is not None and not isinstance(dataset, Dataset):
        raise DataError(
            f"a Dataset is needed, found {type(dataset).__name__}; run.unseen(x) gives one, whose test rows are x"
        )
    return dataset or run.dataset()


def log_access(run: Run, dataset: Dataset, split: str, purpose: str, warn: Callable[[str], None]) -> None:
    """Log each use of the run's test rows, so that readers of a result know how many there were.

    In a read-only folder `warn` is called with the access instead.
    """
    if split not in ("test", "all") or run.home is None or not len(dataset.test):
        return
    if run.data["digests"].get("test") != digest(dataset.test):
        return
    try:
        run.home.log_test_access({"purpose": purpose, "step": run.step, "raw_weights": run.raw_weights})
    except ReadOnly:
        log = run.home.test_accesses
        warn(f"test rows are used ({purpose}, step {run.step}), which read-only {log} cannot count")


def _keep(run: Run, estimate: Mapping[str, Any], share: Share) -> Keep | None:
    """The file for resuming an estimate; None in memory, or with objects from Python, which nothing identifies."""
    if run.home is None or places(run.config):
        return None
    return Keep(run.home.path / "likelihood", {**estimate, "weights": run.weights_digest()}, share)


def _judged(run: Run, data: Dataset, x: np.ndarray) -> Tensor:
    """Rows in the units of the likelihood. Pixels stay uint8, which the kernel reads as numbers in [0, 1]."""
    rows = torch.from_numpy(x).to(run.model.device)
    if data.spec.support is constraints.real:
        return rows.to(run.model.mean.dtype)  # uint8 here is a number, not a pixel
    pixels = rows.dtype == torch.uint8 and bool((data.spec.std == 255).all() & (data.spec.mean == 0).all())
    return rows if pixels else run.model.scale(rows)
