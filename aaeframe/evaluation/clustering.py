"""Clusters of q(y|x) compared with classes, by the paper's protocol and by common measures."""

from __future__ import annotations

import math
import warnings
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from aaeframe.errors import DataError
from aaeframe.evaluation.classification import conditional_entropy, mean_confidence
from aaeframe.evaluation.inputs import as_labels, as_probabilities


@dataclass(frozen=True)
class Clustering:
    """K clusters against the classes of the evaluated rows; a row belongs to its most probable cluster.

    Errors are shares of rows, each in [0, 1].
    """

    error: float
    """The paper's protocol: each cluster has the class assigned to it on validation rows."""
    majority_error: float
    """With each cluster's most frequent class among the evaluated rows. It is optimistic, and more so with more
    clusters: with as many clusters as rows it would be 0."""
    hungarian_error: float
    """With the best one-to-one assignment of clusters to classes, found on the evaluated rows. With more
    clusters than classes, all rows of the unassigned clusters are errors."""
    normalized_mutual_information: float
    """2 I(cluster; class) / (H(cluster) + H(class)), in [0, 1]."""
    adjusted_rand_index: float
    """Pairs of rows on which clusters and classes agree, adjusted for chance: 0 at chance, 1 for equal
    partitions."""
    clusters_used: int
    """The number of clusters with at least one row, of K."""
    mean_confidence: float
    """The mean of max_k q(y_k|x), in [1/K, 1]."""
    conditional_entropy: float
    """The mean of H(q(y|x)) in nats; 0 if every row is in one cluster with certainty."""
    marginal_entropy: float
    """The entropy H(E q(y|x)) in nats: how evenly the clusters are used; at most `uniform_entropy`."""
    uniform_entropy: float
    """The entropy log K in nats."""
    rows: int
    """The number of rows evaluated."""

    def as_dict(self) -> dict[str, float]:
        """The numbers by name, for JSON."""
        return asdict(self)


def name_clusters(y: Tensor, labels: Tensor) -> Tensor:
    """The class (K,) of each cluster, int64 on the CPU: the label of the row with the largest q(y_i|x).

    y (N, K) is q(y|x), and labels (N,) are the classes of *validation* rows, held out from the training set. So no test
    label is used (paper, section 6). DataError if y is not made of probabilities, or the labels do not fit.

    In float32, q(y_i|x) rounds to 1 for many rows, and only the other probabilities show which is the most certain.
    Therefore odds are compared, which order rows as q(y_i|x) does. Among equal rows the first is used.
    """
    q = as_probabilities(y)
    truth = as_labels(labels, len(q))
    surest = torch.stack([_odds(q, cluster).argmax() for cluster in range(q.shape[1])])
    return truth[surest]


def clustering_report(y: Tensor, labels: Tensor, names: Tensor) -> Clustering:
    """Evaluate the clusters of y (N, K), q(y|x), by the labels (N,) of the same rows.

    `names` (K,) is the class of each cluster, from `name_clusters` on other rows. Among equally probable clusters a row
    belongs to the first. DataError if y is not made of probabilities, or the labels or names do not fit.
    """
    q = as_probabilities(y)
    truth = as_labels(labels, len(q))
    classes = _checked_names(names, q.shape[1])
    cluster = q.argmax(1)
    table = _contingency(cluster, truth, q.shape[1])
    information, rand_index = _agreement(cluster, truth)
    return Clustering(
        error=_share(classes[cluster] != truth),
        majority_error=(len(q) - table.amax(1).sum().item()) / len(q),
        hungarian_error=(len(q) - _matched(table)) / len(q),
        normalized_mutual_information=information,
        adjusted_rand_index=rand_index,
        clusters_used=int(table.any(1).sum()),
        mean_confidence=mean_confidence(q),
        conditional_entropy=conditional_entropy(q),
        marginal_entropy=torch.special.entr(q.mean(0)).sum().item(),
        uniform_entropy=math.log(q.shape[1]),
        rows=len(q),
    )


def _odds(q: Tensor, cluster: int) -> Tensor:
    """The odds q_i / sum_{j != i} q_j (N,), in [0, inf]; accurate for q_i near 1 and near 0.

    The sum is not computed as 1 - q_i, which is 0 for every row with q_i rounded to 1.
    """
    others = torch.cat([q[:, :cluster], q[:, cluster + 1 :]], dim=1)
    # In ascending order the rounding does not depend on the clusters' order.
    return q[:, cluster] / others.sort(1).values.sum(1)


def _checked_names(names: Tensor, clusters: int) -> Tensor:
    if names.shape != (clusters,) or names.is_floating_point() or names.min() < 0:
        raise DataError(
            f"one class index for each of {clusters} clusters is needed, found names {names.tolist()}; "
            "take them from name_clusters on the validation rows of the same model"
        )
    return names.detach().to("cpu", torch.int64)


def _contingency(cluster: Tensor, truth: Tensor, clusters: int) -> Tensor:
    """Counts (K, classes) of rows by cluster and class."""
    classes = int(truth.max()) + 1
    return torch.bincount(cluster * classes + truth, minlength=clusters * classes).view(clusters, classes)


def _matched(table: Tensor) -> int:
    """The number of rows that the best one-to-one assignment of clusters to classes gets right."""
    from scipy.optimize import linear_sum_assignment

    clusters, classes = linear_sum_assignment(table.numpy(), maximize=True)
    return int(table[clusters, classes].sum())


def _agreement(cluster: Tensor, truth: Tensor) -> tuple[float, float]:
    """Normalized mutual information and adjusted Rand index."""
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

    pair = truth.numpy(), cluster.numpy()
    with warnings.catch_warnings():
        # It warns about regression targets; here few rows and many clusters are normal.
        warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)
        return float(normalized_mutual_info_score(*pair)), float(adjusted_rand_score(*pair))


def _share(wrong: Tensor) -> float:
    return wrong.double().mean().item()
