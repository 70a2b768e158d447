from __future__ import annotations

import pytest
import torch
from torch import nn

from aaeframe.training.moving_average import MovingAverage


def linear(value):
    layer = nn.Linear(1, 1)
    nn.init.constant_(layer.weight, value)
    nn.init.constant_(layer.bias, 0.0)
    return layer


def test_the_average_follows_the_formula_with_its_ramp():
    layer, expected = linear(1.0), 1.0
    average = MovingAverage(layer, decay=0.5)
    for step in range(20):
        value = float(step**2)
        nn.init.constant_(layer.weight, value)
        average.update(step)
        decay = min(0.5, (step + 1) / (step + 10))
        expected = decay * expected + (1 - decay) * value
        assert average.model.weight.item() == pytest.approx(expected, rel=1e-5)


def test_a_short_run_forgets_its_beginning():
    layer = linear(1000.0)
    average = MovingAverage(layer, decay=0.9999)
    nn.init.constant_(layer.weight, 1.0)
    for step in range(50):
        average.update(step)
    assert average.model.weight.item() == pytest.approx(1.0, abs=1e-3)


def test_the_model_is_left_alone_and_the_average_needs_no_gradient():
    layer = linear(3.0)
    average = MovingAverage(layer, decay=0.9)
    nn.init.constant_(layer.weight, 5.0)
    average.update(0)
    assert layer.weight.item() == 5.0
    assert layer.weight.requires_grad
    assert not any(parameter.requires_grad for parameter in average.model.parameters())


def test_batch_norm_statistics_are_averaged_and_counters_copied():
    norm = nn.BatchNorm1d(2)
    average = MovingAverage(norm, decay=0.5)
    norm(torch.tensor([[0.0, 10.0], [2.0, 30.0]]))
    average.update(100)
    assert torch.allclose(average.model.running_mean, norm.running_mean / 2)
    assert torch.allclose(average.model.running_var, (norm.running_var + 1) / 2)
    assert average.model.num_batches_tracked.item() == 1


def test_what_is_shared_is_not_copied():
    layer = linear(1.0)
    layer.prior = torch.ones(2, requires_grad=True) * 2  # no leaf of a graph: deepcopy refuses it
    with pytest.raises(RuntimeError, match="graph leaves"):
        MovingAverage(layer, decay=0.9)
    average = MovingAverage(layer, decay=0.9, shared=[layer.prior])
    assert average.model.prior is layer.prior
    assert average.model.weight is not layer.weight


def test_a_shared_module_stays_what_it_is():
    layer = nn.Sequential(linear(1.0), nn.BatchNorm1d(1, affine=False))
    layer[1].running_mean.fill_(torch.inf)  # of which a mean with itself is not a number
    average = MovingAverage(layer, decay=0.9, shared=[layer[1]])
    nn.init.constant_(layer[0].weight, 2.0)
    average.update(0)
    assert average.model[1] is layer[1]
    assert layer[1].running_mean.item() == torch.inf
    assert 1 < average.model[0].weight.item() < 2


def test_an_average_restored_by_state_dict_goes_on_the_same():
    def trained(steps, average, layer):
        for step in steps:
            nn.init.constant_(layer.weight, float(step))
            average.update(step)

    layer, resumed = linear(1.0), linear(1.0)
    whole, second = MovingAverage(layer, decay=0.9), MovingAverage(resumed, decay=0.9)
    trained(range(5), whole, layer)
    second.model.load_state_dict(whole.model.state_dict())
    trained(range(5, 9), whole, layer)
    trained(range(5, 9), second, resumed)
    assert torch.equal(whole.model.weight, second.model.weight)
