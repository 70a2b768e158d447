"""The prior samples that discriminators see, and the weight of a block's generator loss."""

from __future__ import annotations

import re

import pytest
import torch
from torch.nn.functional import one_hot

from aaeframe.errors import ConfigError
from aaeframe.recipes.adversary import Adversary

SCHEDULES = ["alternating", "joint"]


def block(component="categorical", **settings):
    return {"component": component, **settings}


def softened(prepared, share, recipe="clustering", **table):
    return prepared(recipe, prior={"y": block(softening=share), "z": "gaussian"}, **table)


# Priors that follow the codes.


def following(prepared, rate=0.5, recipe="clustering", **table):
    prior = {"y": block(options={"classes": 10, "follow": rate}), "z": "gaussian"}
    return prepared(recipe, prior=prior, **table)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_prior_that_follows_is_shown_the_codes_of_each_step_once(prepared, watch, rows, schedule):
    training = following(prepared, schedule=schedule)
    spies = watch.spied(training)
    training.recipe.step(training.batches.next())
    (discriminated, _), _ = spies["y"].calls
    codes = discriminated[rows.unlabeled :]
    assert torch.allclose(training.model.priors["y"].probs, 0.5 * 0.1 + 0.5 * codes.mean(0))


def test_a_prior_that_follows_is_sampled_as_it_is_by_then(prepared):
    training = following(prepared, training={"batch_size": 240})
    y = training.model.priors["y"]
    y.probs.copy_(torch.eye(10)[3])
    [segment] = training.recipe.draw(training.batches.next())["y"]
    assert set(segment.z.argmax(1).tolist()) == {3}
    assert set(training.model.sample_prior(50)["y"].argmax(1).tolist()) == {3}


def test_following_waits_for_nothing(prepared, watch):
    """A GPU's queue must not run empty at each step."""
    y = following(prepared).model.priors["y"]
    with watch.synchronizations() as waits:
        y.follow(y.sample(torch.Size([30])))
    assert waits.found == []


# Softening.


def test_softened_samples_are_a_corner_and_a_share_of_a_uniform_point(prepared):
    training = softened(prepared, 0.25, training={"batch_size": 240})
    [segment] = training.recipe.draw(training.batches.next())["y"]
    assert torch.allclose(segment.z.sum(1), torch.ones(240))
    assert (segment.z >= 0).all()
    rest = (segment.z - 0.75 * one_hot(segment.z.argmax(1), 10)) / 0.25
    assert (rest >= -1e-6).all()
    assert torch.allclose(rest.sum(1), torch.ones(240), atol=1e-5)
    # Of Dirichlet(1, ..., 1) in ten dimensions: means 0.1, variances 0.9 * 0.1 / 11.
    assert torch.allclose(rest.mean(0), torch.full((10,), 0.1), atol=4 * (0.0082 / 240) ** 0.5)
    assert rest.var(0).mean().item() == pytest.approx(0.09 / 11, rel=0.15)
    assert len(rest.unique(dim=0)) == 240, "a point of its own for each sample"


def test_without_softening_samples_are_corners(prepared):
    training = softened(prepared, 0.0)
    [segment] = training.recipe.draw(training.batches.next())["y"]
    assert set(segment.z.unique().tolist()) == {0.0, 1.0}


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_softening_reaches_nothing_but_the_prior_samples_of_its_block(prepared, watch, rows, schedule):
    training = softened(prepared, 0.5, schedule=schedule)
    spies, encodings = watch.spied(training), watch.recorded(training.model.encoder)
    batch = training.batches.next()
    draws = training.recipe.draw(batch)
    training.recipe.step(batch, draws)
    n, code = rows.unlabeled, encodings[-1][1]
    (discriminated, _), (generated, _) = spies["y"].calls
    assert torch.equal(discriminated[:n], draws["y"][0].z)
    assert torch.equal(discriminated[n:], code["y"].detach())
    assert torch.equal(generated, code["y"].detach())
    assert set(training.model.sample_prior(50)["y"].unique().tolist()) == {0.0, 1.0}, "samples stay one-hot"


def test_softened_samples_are_drawn_without_waiting(prepared, watch):
    """A GPU's queue must not run empty at each step."""
    training = softened(prepared, 0.2)
    batch = training.batches.next()
    plain = softened(prepared, 0.0)
    with watch.synchronizations() as found:
        training.recipe.draw(batch)
    with watch.synchronizations() as expected:
        plain.recipe.draw(batch)
    assert found.found == expected.found


@pytest.mark.parametrize("component", ["gaussian", "mixture"])
def test_what_is_not_one_hot_cannot_be_softened(prepared, component):
    with pytest.raises(ConfigError, match=re.escape("prior.z.softening")):
        prepared("unsupervised", prior={"z": block(component, softening=0.2)})


# Noise.


def test_instance_noise_is_a_blocks_own(prepared, watch):
    training = prepared(
        "clustering", prior={"y": block(instance_noise=0.5), "z": block("gaussian")}, training={"batch_size": 240}
    )
    spies, encodings = watch.spied(training), watch.recorded(training.model.encoder)
    training.recipe.step(training.batches.next())
    code = encodings[-1][1]
    for name, expected in [("y", 0.5), ("z", 0.0)]:
        for seen, _ in spies[name].calls:
            assert (seen[-240:] - code[name]).std().item() == pytest.approx(expected, rel=0.1)
    (discriminated, _), _ = spies["y"].calls
    corners = discriminated[:240] - one_hot(discriminated[:240].argmax(1), 10)
    assert corners.std().item() == pytest.approx(0.5, rel=0.2), "on prior samples, too"


# Weights.


def losses(**values):
    return {f"generator/{name}": torch.tensor(value) for name, value in values.items()}


def test_each_blocks_loss_is_weighed_and_by_1_if_nothing_is_said(prepared):
    model = prepared("clustering").model
    assert Adversary(model).weighted(losses(y=2.0, z=3.0)).item() == 5.0
    assert Adversary(model, weights={"y": 0.5}).weighted(losses(y=2.0, z=3.0)).item() == 4.0
    assert Adversary(model, weights={"y": 0.0, "z": 0.1}).weighted(losses(y=2.0, z=3.0)).item() == pytest.approx(0.3)


def test_a_weight_is_read_where_it_is(prepared):
    """So that a captured step follows a ramp."""
    weight = torch.tensor(0.5)
    adversary = Adversary(prepared("clustering").model, weights={"y": weight})
    before = adversary.weighted(losses(y=2.0)).item()
    weight.fill_(4.0)
    assert (before, adversary.weighted(losses(y=2.0)).item()) == (1.0, 8.0)


def test_a_ramp_is_followed_from_epoch_to_epoch(prepared):
    ramp = {"begin": 0.01, "end": 1.0, "after": 0.25, "until": 0.75}
    training = prepared(
        "clustering",
        "joint",
        prior={"y": block(weight=ramp), "z": block("gaussian", weight=2.0)},
        training={"epochs": 8, "batch_size": 240, "reconstruction_weight": {"begin": 0.1, "end": 0.4, "until": 0.25}},
    )
    seen = []
    for epoch in range(8):
        training.batches.load_state_dict({"epoch": epoch, "position": 0})
        training._begin_epoch()
        weights = training.weights
        assert training.recipe.reconstruction_weight is weights.reconstruction
        seen.append([it.item() for it in (weights.generators["y"], weights.generators["z"], weights.reconstruction)])
    expected = [0.01, 0.01, 0.01, 10**-1.5, 0.1, 10**-0.5, 1.0, 1.0]
    assert [y for y, _, _ in seen] == pytest.approx(expected, rel=1e-6)
    assert {z for _, z, _ in seen} == {2.0}
    assert [x for _, _, x in seen] == pytest.approx([0.1, 0.2, *[0.4] * 6], rel=1e-6)


def test_the_alternating_schedule_weighs_nothing(prepared):
    with pytest.raises(ConfigError, match=r"prior\.y\.weight is not used: only schedule 'joint'"):
        prepared("clustering", "alternating", prior={"y": block(weight=2.0), "z": "gaussian"})
