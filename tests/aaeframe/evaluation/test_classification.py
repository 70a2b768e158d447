from __future__ import annotations

import json
import math

import pytest
import torch

from aaeframe.errors import DataError
from aaeframe.evaluation import classification_report

Y = torch.tensor([[0.5, 0.25, 0.25], [0.25, 0.5, 0.25], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
LABELS = torch.tensor([0, 0, 0, 2])


def test_four_rows_are_scored_as_by_hand():
    assert classification_report(Y, LABELS).as_dict() == {
        "error": 0.25,
        "standard_error": pytest.approx(math.sqrt(0.25 * 0.75 / 4)),
        "mean_confidence": 0.75,
        "conditional_entropy": pytest.approx(0.75 * math.log(2)),
        "rows": 4,
    }


def test_a_report_is_json():
    assert json.loads(json.dumps(classification_report(Y, LABELS).as_dict()))["error"] == 0.25


def test_certainty_without_an_error_has_neither_spread_nor_entropy():
    found = classification_report(torch.eye(3), torch.arange(3))
    assert (found.error, found.standard_error, found.mean_confidence, found.conditional_entropy) == (0, 0, 1, 0)


def test_of_equally_probable_classes_the_first_is_predicted():
    y = torch.full((4, 4), 0.25)
    found = classification_report(y, torch.arange(4))
    assert found.error == 0.75
    assert found.conditional_entropy == pytest.approx(math.log(4))


def test_the_order_of_rows_and_the_names_of_classes_do_not_matter():
    classes = torch.tensor([2, 0, 1])
    renamed = classification_report(Y.flip(0)[:, classes.argsort()], classes[LABELS.flip(0)])
    assert renamed.as_dict() == pytest.approx(classification_report(Y, LABELS).as_dict())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64], ids=str)
def test_a_softmax_of_any_precision_is_made_of_probabilities(dtype):
    logits = torch.randn(200, 30, generator=torch.Generator().manual_seed(0)).to(dtype)
    found = classification_report(logits.softmax(1), logits.argmax(1))
    assert found.error < 0.03


def test_gradients_and_inference_mode_do_not_matter():
    expected = classification_report(Y, LABELS)
    assert classification_report(Y.clone().requires_grad_(), LABELS) == expected
    with torch.inference_mode():
        assert classification_report(Y.clone(), LABELS.int()) == expected


@pytest.mark.parametrize(
    ("y", "labels", "message"),
    [
        (Y, LABELS[:3], r"one label for each of 4 rows is needed, found labels of shape \(3,\)"),
        (Y, LABELS.unsqueeze(1), r"found labels of shape \(4, 1\)"),
        (Y, torch.tensor([0, 0, 0, 3]), "the classes are 0 to 2, found labels from 0 to 3. Score labeled rows only"),
        (Y, torch.tensor([0, 0, -1, 2]), "the classes are 0 to 2, found labels from -1 to 2"),
        (Y, LABELS.float(), r"labels are class indices, found torch.float32; pass integers"),
        (Y[0], LABELS, r"\(N, K\), found shape \(3,\)"),
        (Y[:0], LABELS[:0], r"y: rows are needed, found a tensor of shape \(0, 3\)"),
        (Y.log(), LABELS, "y: 2 of 4 rows hold numbers that are not finite, the first is row 2"),
        (2 * Y, LABELS, "4 of 4 rows are not. Row 0 holds numbers from 0.5 that sum to 2. Pass q.* after its softmax"),
        (torch.tensor([[0.5, 0.5], [-1.0, 2.0]]), LABELS[:2], "1 of 2 rows are not. Row 1 holds numbers from -1"),
    ],
    ids=["few", "column", "beyond", "unlabeled", "float", "vector", "empty", "log", "unnormalized", "negative"],
)
def test_what_cannot_be_scored_is_refused(y, labels, message):
    with pytest.raises(DataError, match=message):
        classification_report(y, labels)
