"""The adversary together with the entropy of the posterior."""

from __future__ import annotations

import math

import pytest
import torch

from aaeframe.errors import ConfigError, OptionError

SCHEDULES = ["alternating", "joint"]


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_cost_is_the_entropy_of_the_posterior(prepared, schedule):
    training = prepared("unsupervised", schedule, encoder="gaussian", options={"entropy_weight": 0.5})
    model = training.model
    torch.nn.init.zeros_(model.encoder.scale["z"].weight)
    torch.nn.init.constant_(model.encoder.scale["z"].bias, 0.0)  # a standard deviation of log 2 + 0.001
    losses = training.recipe.step(training.batches.next())
    size = model.priors["z"].event_shape.numel()
    entropy = size * (0.5 * math.log(2 * math.pi * math.e) + math.log(math.log(2) + 1e-3))
    assert losses["posterior_entropy"].item() == pytest.approx(-0.5 * entropy, rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_entropy_is_raised(prepared, schedule):
    def scale(weight):
        training = prepared("unsupervised", schedule, encoder="gaussian", options={"entropy_weight": weight})
        for _ in range(60):
            training.recipe.step(training.batches.next())
        batch = training.batches.next()
        (posterior,) = training.model.encoder.posterior(training.model.scale(batch.x)).values()
        return posterior.stddev.mean().item()

    assert scale(20.0) > 1.2 * scale(0.0)


def test_without_a_weight_nothing_is_lost_or_said(prepared):
    training = prepared("unsupervised", encoder="gaussian")
    assert "posterior_entropy" not in training.recipe.step(training.batches.next())


@pytest.mark.parametrize(
    "parts", [{"encoder": "deterministic"}, {"encoder": "gaussian", "prior": "y=categorical+z=gaussian"}]
)
def test_it_needs_a_density_on_real_numbers(prepared, parts):
    with pytest.raises(ConfigError, match=r"entropy_weight needs an encoder whose q\(z\|x\) has a density"):
        prepared("unsupervised", **parts, options={"entropy_weight": 1.0})


def test_it_belongs_to_the_recipe_unsupervised(prepared):
    with pytest.raises(OptionError, match=r"the recipe 'variational' of aaeframe .* has no option 'entropy_weight'"):
        prepared("variational", options={"entropy_weight": 1.0})
