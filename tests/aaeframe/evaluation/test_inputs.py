from __future__ import annotations

import pytest
import torch

from aaeframe.errors import DataError
from aaeframe.evaluation.inputs import as_comparable_rows, as_labels, as_probabilities, as_rows, spread


def test_rows_are_flat_float64_without_gradient():
    x = torch.arange(12).reshape(3, 2, 2)
    rows = as_rows(x.half().requires_grad_(), "x")
    assert (rows.dtype, rows.requires_grad) == (torch.float64, False)
    assert torch.equal(rows, x.double().reshape(3, 4))


def test_what_is_no_rows_is_refused_by_its_name():
    for wrong in (torch.zeros(0, 3), torch.tensor(1.0)):
        with pytest.raises(DataError, match="codes: rows are needed"):
            as_rows(wrong, "codes")
    with pytest.raises(DataError, match="codes: 1 of 2 rows hold numbers that are not finite, the first is row 1"):
        as_rows(torch.tensor([[0.0], [float("inf")]]), "codes")
    with pytest.raises(DataError, match="found 2 and 3 numbers a row"):
        as_comparable_rows(torch.zeros(4, 2), torch.zeros(5, 3))


def test_probabilities_may_be_off_by_rounding_and_no_more():
    y = torch.tensor([[0.5, 0.5], [0.505, 0.5]])
    assert torch.equal(as_probabilities(y), y.double())
    with pytest.raises(DataError, match=r"1 of 2 rows are not\. Row 1 holds"):
        as_probabilities(torch.tensor([[0.5, 0.5], [0.52, 0.5]]))


def test_without_a_number_of_classes_any_index_from_0_on_is_one():
    found = as_labels(torch.tensor([7, 0], dtype=torch.int32), 2)
    assert (found.dtype, found.tolist()) == (torch.int64, [7, 0])
    with pytest.raises(DataError, match="the classes are counted from 0, found labels from -1 to 7"):
        as_labels(torch.tensor([7, -1]), 2)
    with pytest.raises(DataError, match="the classes are 0 to 6, found labels from 0 to 7"):
        as_labels(torch.tensor([7, 0]), 2, num_classes=7)


def test_few_rows_stand_for_all_from_the_first_to_the_last():
    assert spread(torch.arange(11), 3).tolist() == [0, 5, 10]
    assert spread(torch.arange(3), 3).tolist() == [0, 1, 2]
