from __future__ import annotations

import pytest
from torch import nn

from aaeframe.recipes.steps import frozen


def test_inside_nothing_is_trained_and_afterwards_each_part_is_as_it_was():
    module = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Linear(2, 1))
    module[0].requires_grad_(False)
    module[1].eval()
    with frozen(module):
        assert not any(parameter.requires_grad for parameter in module.parameters())
        assert not any(part.training for part in module.modules())
    assert [parameter.requires_grad for parameter in module.parameters()] == [False, False, True, True, True, True]
    assert [part.training for part in module.modules()] == [True, True, False, True]


def test_an_error_inside_does_not_leave_it_frozen():
    module = nn.Linear(2, 1)
    with pytest.raises(RuntimeError, match="no luck"), frozen(module):
        raise RuntimeError("no luck")
    assert module.training
    assert module.weight.requires_grad
