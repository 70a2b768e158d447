from __future__ import annotations

import pytest
import torch
from torch import nn

from aaeframe.recipes.steps import batch_statistics_kept

X = torch.arange(8.0).reshape(4, 2)


def test_the_batch_normalizes_but_moves_no_statistics():
    norm = nn.BatchNorm1d(2)
    expected, state = nn.BatchNorm1d(2)(X), {name: value.clone() for name, value in norm.state_dict().items()}
    with batch_statistics_kept(nn.Sequential(norm)):
        assert torch.equal(norm(X), expected)
    assert all(torch.equal(value, state[name]) for name, value in norm.state_dict().items())
    norm(X)
    assert norm.num_batches_tracked == 1


def test_fixed_statistics_stay_in_use():
    norm = nn.BatchNorm1d(2).eval()
    expected = norm(X)
    with batch_statistics_kept(norm):
        assert torch.equal(norm(X), expected)


def test_statistics_that_were_not_tracked_are_not_afterwards():
    norm = nn.BatchNorm1d(2, track_running_stats=False)
    with pytest.raises(RuntimeError, match="no luck"), batch_statistics_kept(norm):
        raise RuntimeError("no luck")
    assert not norm.track_running_stats
