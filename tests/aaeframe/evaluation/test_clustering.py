from __future__ import annotations

import json
import math

import pytest
import torch
from torch.nn.functional import one_hot

from aaeframe.errors import DataError
from aaeframe.evaluation import clustering_report, name_clusters

Y = torch.tensor([[0.7, 0.2, 0.1], [0.6, 0.4, 0.0], [0.1, 0.9, 0.0], [0.0, 0.5, 0.5], [0.1, 0.1, 0.8]])
LABELS = torch.tensor([4, 1, 2, 2, 4])


def certain(clusters, count):
    """q(y|x) of rows that are in these clusters for certain."""
    return one_hot(torch.tensor(clusters), count).float()


def random_rows(rows, clusters, seed=0):
    generator = torch.Generator().manual_seed(seed)
    y = (4 * torch.randn(rows, clusters, generator=generator)).softmax(1)
    return y, torch.randint(10, (rows,), generator=generator)


def test_a_cluster_is_named_by_its_surest_row():
    assert name_clusters(Y, LABELS).tolist() == [4, 2, 4]


def test_of_equally_sure_rows_the_first_names_the_cluster():
    y = torch.tensor([[0.25, 0.75], [0.5, 0.5], [0.5, 0.5], [0.25, 0.75]])
    assert name_clusters(y, torch.tensor([5, 6, 7, 8])).tolist() == [6, 5]


@pytest.mark.parametrize("surest", range(4))
def test_rows_that_round_to_certain_are_told_apart_by_what_they_leave(surest):
    logits = torch.tensor([40.0, 41.0, 42.0, 43.0])
    logits[surest] = 60
    y = torch.stack([logits, torch.zeros(4), torch.ones(4)], dim=1).softmax(1)
    assert (y[:, 0] == 1).all(), "in float32 every row is certain"
    assert (y.double().sum(1) - y[:, 0].double() == 0).all(), "... and a difference does not tell them apart"
    assert name_clusters(y, torch.arange(4))[0] == surest


@pytest.mark.parametrize("best", range(4))
def test_a_cluster_that_no_row_is_near_is_named_by_the_least_far(best):
    logits = torch.full((4,), -50.0)
    logits[best] = -45
    y = torch.stack([torch.zeros(4), logits], dim=1).softmax(1)
    assert (y[:, 0] == 1).all(), "what is left for the other is the same for every row"
    assert name_clusters(y, torch.arange(4))[1] == best


def test_rows_that_leave_nothing_are_equal_wherever_they_stand():
    y = certain([1] * 20 + [0] * 37, 3)
    assert name_clusters(y, torch.arange(57)).tolist()[:2] == [20, 0]


@pytest.mark.parametrize("rows", [[0, 1], [1, 0]], ids=str)
def test_rows_that_differ_in_the_order_of_the_others_alone_are_equal(rows):
    # In float64, 0.1 + 0.2 + 0.3 is more than 0.3 + 0.2 + 0.1.
    y = torch.tensor([[0.4, 0.1, 0.2, 0.3], [0.4, 0.3, 0.2, 0.1]], dtype=torch.float64)[rows]
    assert name_clusters(y, torch.tensor([7, 8]))[0] == 7


def test_where_nothing_is_rounded_names_are_those_of_the_largest_probability():
    y, labels = random_rows(500, 30)
    assert name_clusters(y.double(), labels).tolist() == labels[y.argmax(0)].tolist()


def test_five_rows_are_judged_as_by_hand():
    # Clusters 0 0 1 1 2 hold the classes 4 1 2 2 4; the names 4 2 1 are wrong on rows 1 and 4.
    found = clustering_report(Y, LABELS, torch.tensor([4, 2, 1]))
    assert found.error == 0.4
    assert found.majority_error == 0.2
    assert found.hungarian_error == 0.2
    assert found.clusters_used == 3
    assert found.rows == 5
    assert found.mean_confidence == pytest.approx((0.7 + 0.6 + 0.9 + 0.5 + 0.8) / 5)
    assert found.marginal_entropy == pytest.approx(-sum(p * math.log(p) for p in (0.3, 0.42, 0.28)))
    assert found.conditional_entropy == pytest.approx(torch.special.entr(Y).sum().item() / 5)
    assert found.uniform_entropy == math.log(3)


def test_a_class_of_two_clusters_is_no_error_but_to_the_one_to_one_assignment():
    # Class 0 fills clusters 0 and 1 with three and two rows, class 1 fills cluster 2.
    y, labels = certain([0, 0, 0, 1, 1, 2, 2, 2, 2, 2], 4), torch.tensor([0] * 5 + [1] * 5)
    found = clustering_report(y, labels, torch.tensor([0, 0, 1, 1]))
    assert (found.error, found.majority_error, found.hungarian_error) == (0, 0, 0.2)
    assert found.clusters_used == 3


def test_the_one_to_one_assignment_is_the_best_and_not_the_greedy_one():
    # Rows by class: cluster 0 holds 3 and 2, cluster 1 holds 2 and 0; greedy gets 3 + 0 right, best 2 + 2.
    y, labels = certain([0] * 5 + [1] * 2, 2), torch.tensor([0, 0, 0, 1, 1, 0, 0])
    found = clustering_report(y, labels, torch.tensor([0, 0]))
    assert found.hungarian_error == pytest.approx(3 / 7)
    assert found.majority_error == pytest.approx(2 / 7)


def test_classes_without_a_cluster_are_errors_of_every_kind():
    found = clustering_report(certain([0, 0, 1, 1], 2), torch.arange(4), torch.tensor([0, 2]))
    assert (found.error, found.majority_error, found.hungarian_error) == (0.5, 0.5, 0.5)


def test_the_paper_error_is_by_the_names_given_and_the_others_are_not():
    y, labels = certain([0, 0, 1, 1], 2), torch.tensor([0, 0, 1, 1])
    swapped = clustering_report(y, labels, torch.tensor([1, 0]))
    assert (swapped.error, swapped.majority_error, swapped.hungarian_error) == (1, 0, 0)


def test_clusters_that_are_the_classes_are_a_perfect_match():
    labels = torch.arange(10).repeat(5)
    y = certain((9 - labels).tolist(), 10)
    found = clustering_report(y, labels, name_clusters(y, labels))
    assert (found.error, found.clusters_used, found.conditional_entropy) == (0, 10, 0)
    assert found.normalized_mutual_information == pytest.approx(1)
    assert found.adjusted_rand_index == pytest.approx(1)
    assert found.marginal_entropy == pytest.approx(found.uniform_entropy)


def test_agreement_of_crossed_halves_is_as_by_hand():
    # Each cluster holds one row of either class: no information, and fewer agreeing pairs than by chance.
    found = clustering_report(certain([0, 0, 1, 1], 2), torch.tensor([0, 1, 0, 1]), torch.tensor([0, 1]))
    assert found.normalized_mutual_information == pytest.approx(0, abs=1e-12)
    assert found.adjusted_rand_index == pytest.approx((0 - 2 * 2 / 6) / (2 - 2 * 2 / 6))


def test_one_cluster_for_all_is_one_cluster_used():
    found = clustering_report(certain([2] * 6, 4), torch.arange(6) % 3, torch.zeros(4, dtype=torch.long))
    assert (found.clusters_used, found.marginal_entropy) == (1, 0)
    assert found.error == pytest.approx(2 / 3)
    assert found.normalized_mutual_information == 0
    assert found.adjusted_rand_index == 0


@pytest.mark.parametrize("seed", range(3))
def test_the_numbering_of_clusters_changes_nothing(seed):
    validation, validation_labels = random_rows(300, 16, seed=seed)
    y, labels = random_rows(200, 16, seed=100 + seed)
    order = torch.randperm(16, generator=torch.Generator().manual_seed(seed))
    names = name_clusters(validation, validation_labels)
    renumbered = name_clusters(validation[:, order], validation_labels)
    assert torch.equal(renumbered, names[order])
    first = clustering_report(y, labels, names).as_dict()
    assert clustering_report(y[:, order], labels, renumbered).as_dict() == pytest.approx(first, rel=1e-12)


def test_the_names_of_classes_change_nothing():
    y, labels = random_rows(200, 16)
    classes = torch.randperm(10, generator=torch.Generator().manual_seed(1))
    names = name_clusters(y, labels)
    first = clustering_report(y, labels, names).as_dict()
    assert clustering_report(y, classes[labels], classes[names]).as_dict() == pytest.approx(first, rel=1e-12)


def test_more_clusters_than_half_the_rows_are_no_matter_of_warning():
    y = certain(list(range(30)), 30)
    found = clustering_report(y, torch.arange(30), torch.arange(30))
    assert (found.error, found.clusters_used) == (0, 30)


def test_a_report_is_json():
    report = clustering_report(Y, LABELS, name_clusters(Y, LABELS))
    assert json.loads(json.dumps(report.as_dict())) == report.as_dict()


@pytest.mark.parametrize(
    ("y", "labels", "names", "message"),
    [
        (Y, LABELS, [4, 2], r"each of 3 clusters is needed, found names \[4, 2\]; take them from name_clusters"),
        (Y, LABELS, [4, 2, -1], r"found names \[4, 2, -1\]"),
        (Y, LABELS, [4.0, 2.0, 1.0], r"found names \[4.0, 2.0, 1.0\]"),
        (Y, LABELS[:4], [4, 2, 4], r"one label for each of 5 rows is needed, found labels of shape \(4,\)"),
        (Y, LABELS - 2, [4, 2, 4], "the classes are counted from 0, found labels from -1 to 2"),
        (3 * Y, LABELS, [4, 2, 4], "5 of 5 rows are not"),
    ],
    ids=["few names", "unnamed", "float names", "few labels", "unlabeled", "no probabilities"],
)
def test_what_cannot_be_judged_is_refused(y, labels, names, message):
    with pytest.raises(DataError, match=message):
        clustering_report(y, labels, torch.tensor(names))


def test_what_cannot_name_clusters_is_refused():
    with pytest.raises(DataError, match="one label for each of 5 rows"):
        name_clusters(Y, LABELS[:4])
    with pytest.raises(DataError, match=r"Pass q.* after its softmax"):
        name_clusters(Y.exp(), LABELS)
