from __future__ import annotations

import re
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import distributions as D
from torch.distributions import constraints

from aaeframe.errors import ConfigError
from aaeframe.model.priors import block_spec, checked_prior, has_density, labeled_blocks


@dataclass
class Fixed:
    """A prior whose samples are what the test says."""

    event_shape: Any = torch.Size([2])
    support: Any = constraints.real
    sample: Any = field(default=lambda shape: torch.zeros(*shape, 2))


def knowing(classes):
    return SimpleNamespace(num_classes=classes, sample_labeled=lambda shape: None)


@pytest.mark.parametrize(
    "prior",
    [
        D.MultivariateNormal(torch.zeros(2), torch.eye(2)),
        D.Independent(D.Uniform(torch.zeros(2), torch.ones(2)), 1),
        D.OneHotCategorical(torch.ones(4)),
        D.LKJCholesky(3),
        Fixed(),
        Fixed(event_shape=(2,)),
    ],
    ids=lambda prior: type(prior).__name__,
)
def test_a_prior_that_fits_is_taken_as_it_is(prior):
    assert checked_prior("z", prior) is prior


@pytest.mark.parametrize("kind", [D.Normal, Fixed])
def test_a_class_of_priors_is_refused(kind):
    with pytest.raises(ConfigError, match=rf"block 'z' is the class {kind.__name__}, .* pass an instance"):
        checked_prior("z", kind)


@pytest.mark.parametrize(
    "prior",
    [
        D.Normal(0.0, 1.0),
        D.Beta(torch.tensor(0.5), torch.tensor(0.5)),
        D.MixtureSameFamily(D.Categorical(torch.ones(2)), D.Normal(torch.zeros(2), torch.ones(2))),
    ],
    ids=lambda prior: type(prior).__name__,
)
def test_a_distribution_of_one_number_becomes_one_of_vectors_of_length_1(prior):
    taken = checked_prior("z", prior)
    assert block_spec(taken).event_shape == torch.Size([1])
    assert taken.sample((5,)).shape == (5, 1)
    assert taken.support.check(taken.sample((5,))).all()


@pytest.mark.parametrize("shape", [(2,), (3, 4)])
def test_a_batch_of_distributions_is_refused_with_what_to_do(shape):
    with pytest.raises(ConfigError) as caught:
        checked_prior("z", D.Normal(torch.zeros(shape), 1.0))
    assert f"has batch_shape {shape}" in str(caught.value)
    assert f"torch.distributions.Independent(prior, {len(shape)})" in str(caught.value)


class NoSupport(D.Distribution):
    arg_constraints = {}  # noqa: RUF012

    def __init__(self):
        super().__init__(event_shape=torch.Size([2]), validate_args=False)


class Forgetting(Fixed):
    """Follows codes, and no checkpoint has what it knows."""

    def follow(self, code):
        self.sample = lambda shape: code.mean(0).expand(*shape, 2)


def broken(shape):
    raise RuntimeError("no luck")


@pytest.mark.parametrize(
    ("prior", "message"),
    [
        (5, "of type int, has no sample, event_shape, support; a prior is a torch.distributions.Distribution or"),
        (NoSupport(), "of type NoSupport, has no support"),
        (Fixed(support="real"), "the support of the prior of block 'z' is 'real'; it must be a constraint"),
        (Fixed(support=constraints.boolean), "aaeframe.supports.register"),
        (D.Poisson(torch.tensor(3.0)), "it is discrete"),
        (Forgetting(), "of type Forgetting, has follow but is not a torch.nn.Module: no checkpoint"),
        (Fixed(sample=lambda shape: torch.zeros(*shape, 3)), "asked for 3 samples and gave (3, 3)"),
        (Fixed(event_shape=[2]), "block 'z', of type Fixed, has event_shape [2]; it must be a tuple or"),
        (Fixed(event_shape=2), "block 'z', of type Fixed, has event_shape 2; it must be a tuple or"),
        (
            Fixed(sample=lambda shape: torch.from_numpy(np.random.default_rng().normal(size=(*shape, 2)))),
            "of type Fixed, gives other samples from the same random state of torch, so no run could repeat them",
        ),
        (
            Fixed(sample=lambda shape: torch.stack([torch.zeros(shape), torch.ones(shape)])),
            "the prior of block 'z', of type Fixed, was asked for 3 samples and gave (2, 3); sample(sample_shape) must",
        ),
        (
            Fixed(event_shape=torch.Size([3]), sample=lambda shape: torch.zeros(3, *shape)),
            "4 samples and gave (3, 4); sample(sample_shape) must give a tensor of shape sample_shape + event_shape, "
            "here (4, 3). Fix it; for a plugin's prior, `aaeframe plugins check` says more",
        ),
        (Fixed(sample=lambda shape: [0.0, 0.0]), "asked for 3 samples and gave list; sample(sample_shape) must give"),
        (
            Fixed(event_shape=torch.Size(), sample=torch.zeros),
            "of type Fixed, has event_shape (), but a code is a row of numbers. Give samples one dimension more",
        ),
        (Fixed(sample=broken), "the prior of block 'z', of type Fixed, cannot be sampled: RuntimeError: no luck"),
    ],
    ids=[
        "no prior",
        "no support",
        "support no constraint",
        "unmapped",
        "discrete",
        "forgetting",
        "shape",
        "a list",
        "an int",
        "not repeated",
        "stacked in front",
        "as many rows as dimensions",
        "no tensor",
        "number",
        "raises",
    ],
)
def test_a_prior_that_does_not_fit(prior, message):
    with pytest.raises(ConfigError) as caught:
        checked_prior("z", prior)
    assert message in str(caught.value)
    assert "'z'" in str(caught.value) or "register" in str(caught.value)


@pytest.mark.parametrize("name", ["x", "labels", "file", "values", "forward", "training"])
def test_a_name_that_means_something_else_is_refused(name):
    with pytest.raises(ConfigError, match=f"a block cannot be called '{name}'.*choose another name: z={name}"):
        checked_prior(name, Fixed())


def test_looking_at_a_prior_leaves_the_random_state_alone():
    before = torch.get_rng_state()
    checked_prior("z", D.MultivariateNormal(torch.zeros(2), torch.eye(2)))
    assert torch.equal(torch.get_rng_state(), before)


def test_labels_are_told_to_the_blocks_whose_prior_knows_classes():
    priors = {"a": Fixed(), "b": knowing(10), "c": knowing(10)}
    assert labeled_blocks(priors, 10) == ("b", "c")
    assert labeled_blocks(priors, None) == ()


def test_labels_that_no_prior_knows_what_to_do_with():
    with pytest.raises(ConfigError, match="no prior of a, b knows classes; use one that does"):
        labeled_blocks({"a": Fixed(), "b": Fixed()}, 10)
    with pytest.raises(ConfigError, match="the prior of block 'b' knows 5 classes, but the data has 10"):
        labeled_blocks({"a": knowing(10), "b": knowing(5)}, 10)


def with_log_prob(log_prob):
    prior = Fixed()
    prior.log_prob = log_prob
    return prior


def test_a_density_is_one_number_for_each_sample():
    assert has_density(with_log_prob(lambda z: -z.square().sum(-1)))
    for log_prob, shape in ((lambda z: -z.square(), "(3, 2)"), (lambda z: -z.square().sum(0), "(2,)")):
        with pytest.raises(ConfigError, match=re.escape(f"of 3 samples and gave a tensor of shape {shape}; it must")):
            has_density(with_log_prob(log_prob))
    with pytest.raises(ConfigError, match=re.escape("of 3 samples and gave 1.0; it must give one each")):
        has_density(with_log_prob(lambda z: 1.0))


def test_a_density_that_is_estimated_by_random_numbers_leaves_the_random_state_as_it_is():
    before = torch.get_rng_state()
    assert has_density(with_log_prob(lambda z: torch.rand(len(z))))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_mixture_whose_own_samples_torch_refuses_has_no_density():
    boxes = D.Uniform(torch.tensor([0.0, 5.0]), torch.tensor([1.0, 6.0]))
    assert not has_density(checked_prior("z", D.MixtureSameFamily(D.Categorical(torch.ones(2)), boxes)))


def test_an_error_in_log_prob_of_a_plugin_is_not_taken_for_none():
    def fails(z):
        raise ValueError("a mistake of its author")

    with pytest.raises(ValueError, match="a mistake of its author"):
        has_density(with_log_prob(fails))
