from __future__ import annotations

import re

import pytest
import torch
from torch.distributions import constraints

from aaeframe.errors import DataError
from aaeframe.model.representation import ClusterHeads, Concatenate, Representation, WithLabel
from aaeframe.protocols import BlockSpec

REAL = constraints.independent(constraints.real, 1)
BLOCKS = {
    "y": BlockSpec(torch.Size([3]), constraints.one_hot),
    "z": BlockSpec(torch.Size([2]), REAL),
}
WIDE = {"m": BlockSpec(torch.Size([2, 2]), REAL), "z": BlockSpec(torch.Size([1]), REAL)}


def test_blocks_stand_side_by_side_in_the_order_of_the_prior_and_flat():
    representation = Concatenate(WIDE)
    code = {"z": torch.tensor([[5.0]]), "m": torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])}
    assert representation.size == 5
    assert not representation.takes_labels
    assert representation(code).tolist() == [[1.0, 2.0, 3.0, 4.0, 5.0]]
    assert torch.equal(representation(code, torch.tensor([0])), representation(code)), "labels are not used"


def test_the_label_stands_behind_the_code_as_a_one_hot_row():
    representation = WithLabel(WIDE, num_classes=3)
    code = {"z": torch.tensor([[5.0], [6.0]]), "m": torch.zeros(2, 2, 2)}
    assert representation.size == 8
    assert representation.takes_labels
    found = representation(code, torch.tensor([2, 0]))
    assert found.tolist() == [[0.0, 0.0, 0.0, 0.0, 5.0, 0.0, 0.0, 1.0], [0.0, 0.0, 0.0, 0.0, 6.0, 1.0, 0.0, 0.0]]
    assert found.dtype == torch.float32


def test_labels_follow_the_codes_precision():
    code = {"z": torch.zeros(1, 1, dtype=torch.bfloat16), "m": torch.zeros(1, 2, 2, dtype=torch.bfloat16)}
    assert WithLabel(WIDE, 3)(code, torch.tensor([1])).dtype == torch.bfloat16


def test_without_its_labels_it_says_so():
    with pytest.raises(DataError, match=re.escape("the label of its class; give labels (N,)")):
        WithLabel(WIDE, 3)({"z": torch.zeros(1, 1), "m": torch.zeros(1, 2, 2)})


def test_the_head_of_the_class_plus_the_style_exactly():
    representation = ClusterHeads(BLOCKS, "y", "z")
    heads = torch.tensor([[1.0, 2.0], [10.0, 20.0], [100.0, 200.0]])
    with torch.no_grad():
        representation.weight.copy_(heads)
    code = {"y": torch.tensor([[0.0, 1.0, 0.0], [0.5, 0.0, 0.5]]), "z": torch.tensor([[0.25, -0.25], [0.0, 1.0]])}
    assert representation.size == 2
    assert not representation.takes_labels
    assert representation(code).tolist() == [[10.25, 19.75], [50.5, 102.0]]


def test_every_head_learns_of_the_rows_that_use_it():
    representation = ClusterHeads(BLOCKS, "y", "z")
    y = torch.tensor([[1.0, 0.0, 0.0], [0.25, 0.75, 0.0]], requires_grad=True)
    z = torch.zeros(2, 2, requires_grad=True)
    representation({"y": y, "z": z}).sum().backward()
    assert representation.weight.grad.tolist() == [[1.25, 1.25], [0.75, 0.75], [0.0, 0.0]]
    assert z.grad.tolist() == [[1.0, 1.0], [1.0, 1.0]]
    assert torch.allclose(y.grad, representation.weight.sum(1).detach().expand(2, 3))


def test_heads_are_the_only_parameters():
    assert [name for name, _ in ClusterHeads(BLOCKS, "y", "z").named_parameters()] == ["weight"]
    assert not list(Concatenate(BLOCKS).parameters())
    assert not list(WithLabel(BLOCKS, 3).parameters())


def test_who_represents_nothing_says_so():
    with pytest.raises(NotImplementedError):
        Representation()({})
