"""Prior samples of a run: a function of seed and step, drawn for many steps at once where the prior stays as it is."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from aaeframe.recipes import prior_samples
from aaeframe.recipes.prior_samples import STEPS, PriorSamples

LABELED = {"labels": 50, "prior": "mixture"}
CHANGING = {"y": {"component": "categorical", "options": {"follow": 0.5}}, "z": "gaussian"}


def drawn(training, steps, seed=0):
    """The samples of these steps, by a recipe that has drawn nothing yet, as (z, labels) of each segment."""
    samples, batch = PriorSamples(training.model, {}, seed), training.batches.next()
    found = [
        [it[:2] for name in training.model.priors for it in samples(name, replace(batch, step=step))] for step in steps
    ]
    return [[part for segment in step for part in segment if part is not None] for step in found]


def same(first, second):
    return all(torch.equal(*pair) for pair in zip(first, second, strict=True))


@pytest.mark.parametrize("table", [{}, LABELED, {"recipe": "clustering", "prior": CHANGING}], ids=str)
def test_samples_depend_on_seed_and_step_alone(prepared, table):
    table = {"recipe": "unsupervised", **table}
    training = prepared(**table)
    steps = [0, 1, STEPS - 1, STEPS, STEPS + 5]
    whole = drawn(training, range(STEPS + 6))
    assert all(same(whole[step], drawn(training, [step])[0]) for step in steps), "as in a resumed run"
    assert not any(same(whole[step], whole[step + 1]) for step in range(STEPS + 5)), "each step has its own"
    assert not same(whole[0], drawn(training, [0], seed=1)[0])


def test_labels_go_with_their_samples(prepared):
    training = prepared("unsupervised", **LABELED)
    unlabeled, labeled = PriorSamples(training.model, {}, 0)("mixture", replace(training.batches.next(), step=7))
    assert (unlabeled.z.shape, labeled.z.shape) == ((30, 2), (20, 2))
    assert unlabeled.labels.tolist() == [10] * 30, "the class of those without one"
    distances = torch.cdist(labeled.z, training.model.priors["mixture"].loc)
    assert (distances.argmin(1) == labeled.labels).float().mean() > 0.7, "most are nearest to their own petal"


class Counting:
    """A prior that keeps how many samples it was asked for at a time."""

    def __init__(self, prior):
        self.event_shape, self.support, self.prior, self.asked = prior.event_shape, prior.support, prior, []

    def sample(self, sample_shape):
        self.asked.append(sample_shape.numel())
        return self.prior.sample(sample_shape)


class Following(Counting):
    """The same, which may change at each step."""

    def follow(self, code):
        pass


def asked(prepared, kind, steps):
    training = prepared("unsupervised")
    prior = training.model.priors["z"] = kind(training.model.priors["z"])
    drawn(training, range(steps))
    return prior.asked


def test_a_fixed_prior_is_sampled_for_many_steps_at_once(prepared):
    assert asked(prepared, Counting, STEPS + 1) == [30 * STEPS, 30 * STEPS]


def test_a_prior_that_changes_is_sampled_at_each_step(prepared):
    assert asked(prepared, Following, 3) == [30, 30, 30]


@pytest.mark.parametrize(("steps", "expected"), [(5, 5), (0.5, 1)])
def test_large_samples_are_drawn_for_fewer_steps(prepared, monkeypatch, steps, expected):
    monkeypatch.setattr(prior_samples, "MOST_BYTES", int(30 * 2 * 4 * steps))
    assert asked(prepared, Counting, 1) == [30 * expected]


def test_outside_a_run_samples_come_from_the_global_generator(prepared):
    training = prepared("unsupervised")
    batch = replace(training.batches.next(), step=None)
    samples = PriorSamples(training.model, {}, 0)
    torch.manual_seed(3)
    [first], [second] = samples("z", batch), samples("z", batch)
    torch.manual_seed(3)
    [again] = samples("z", batch)
    assert torch.equal(first.z, again.z)
    assert not torch.equal(first.z, second.z)
