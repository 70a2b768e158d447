"""Every check of a prior accepts a good one and rejects one that lacks the property."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from torch import nn
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal, OneHotCategorical, constraints

from aaeframe import testing
from aaeframe.components.registry import InstalledComponent
from aaeframe.hookspecs import Component
from aaeframe.protocols import LabeledSample
from aaeframe.testing.plan import CHECKS
from aaeframe.testing.plugin import check_component
from aaeframe_plugins.priors.categorical import FollowingCategorical, categorical


class Blobs(nn.Module):
    """A good prior: two round Gaussians in the plane, each a class."""

    event_shape = torch.Size([2])
    support = constraints.independent(constraints.real, 1)
    num_classes = 2

    def __init__(self, *, spread: float = 1.0) -> None:
        super().__init__()
        self.spread = spread
        self.register_buffer("centers", torch.tensor([[-2.0, 0.0], [2.0, 0.0]]))

    def sample_labeled(self, sample_shape=torch.Size()):
        labels = torch.randint(2, sample_shape, device=self.centers.device)
        noise = torch.randn(*sample_shape, 2, device=self.centers.device)
        return LabeledSample(self.centers[labels] + self.spread * noise, labels)

    def sample(self, sample_shape=torch.Size()):
        return Blobs.sample_labeled(self, sample_shape).value

    def follow(self, code):
        self.centers.lerp_(self.centers - code.mean(0), 0.1)

    def log_prob(self, value):
        parts = Independent(Normal(self.centers, self.spread), 1)
        return MixtureSameFamily(Categorical(torch.ones(2)), parts).log_prob(value)


class Forgetful(Blobs):
    """Centers drawn at random, in an attribute that no state_dict holds."""

    def __init__(self):
        super().__init__()
        self.centers = None
        del self.centers
        self.centers = torch.rand(2, 2)


class Untrained(nn.Module):
    """A Gaussian with parameters that nothing trains."""

    event_shape = torch.Size([2])
    support = constraints.independent(constraints.real, 1)

    def __init__(self) -> None:
        super().__init__()
        self.loc = nn.Parameter(torch.zeros(2))
        self.log_scale = nn.Parameter(torch.zeros(2))

    def distribution(self):
        return Independent(Normal(self.loc, self.log_scale.exp()), 1)

    def sample(self, sample_shape=torch.Size()):
        return self.distribution().sample(sample_shape)

    def log_prob(self, value):
        return self.distribution().log_prob(value)


class Learned(Untrained):
    """A good prior with parameters."""

    def loss(self, code):
        return -self.distribution().log_prob(code).mean()


class Bound(nn.Module):
    """A good prior bound to the encoder: its codes of a few rows, blurred."""

    event_shape = torch.Size([2])
    support = constraints.independent(constraints.real, 1)

    def bind(self, posterior, data, rows):
        self.posterior = posterior
        self.register_buffer("rows", torch.zeros(5, *data.shape) if rows is None else rows[:5].clone())

    def sample(self, sample_shape=torch.Size()):
        with torch.no_grad():
            centers = self.posterior(self.rows).sample()
        return centers[torch.randint(5, sample_shape)] + 0.1 * torch.randn(*sample_shape, 2)


class Absorbing(Bound):
    """Makes the encoder a part of itself."""

    def bind(self, posterior, data, rows):
        super().bind(posterior, data, rows)
        self.encoder = posterior._encoder


class Unkept(Bound):
    """Keeps rows where no state_dict has them."""

    def bind(self, posterior, data, rows):
        self.posterior = posterior
        self.rows = torch.randn(5, *data.shape)


class Closing(Bound):
    """Keeps a function that calls the posterior, which a copy shares."""

    def bind(self, posterior, data, rows):
        super().bind(posterior, data, rows)
        self.posterior = lambda x: posterior(x)


class Wiping(Bound):
    """Changes the rows that it is given."""

    def bind(self, posterior, data, rows):
        super().bind(posterior, data, rows)
        if rows is not None:
            rows.zero_()


class Used(Blobs):
    """A number that moves by use, and that no state_dict holds."""

    used = 0

    def sample(self, sample_shape=torch.Size()):
        self.used += 1
        return super().sample(sample_shape) + self.used


class Frequencies(FollowingCategorical):
    """A slow one whose probs no state_dict holds."""

    def __init__(self):
        super().__init__(torch.ones(5), rate=0.002, after=0)
        probs = self.probs
        del self.probs
        self.probs = probs


class Counting(FollowingCategorical):
    """Waits by a counter that no state_dict holds."""

    def __init__(self):
        super().__init__(torch.ones(5), rate=0.002, after=0)
        self.count = 0

    def follow(self, code):
        self.count += 1
        if self.count > 3:
            super().follow(code)


class Renewing(Blobs):
    """Makes a buffer anew each time; of this size, memory is used again."""

    def __init__(self):
        super().__init__()
        self.register_buffer("large", torch.zeros(1000, 1000))

    def follow(self, code):
        self.large = self.large + 1


class Drawing(Blobs):
    """Follows by numbers that it draws, which is its right."""

    def follow(self, code):
        self.centers += 0.1 * torch.randn(2, 2)


class Misremembered(Blobs):
    """Built anew of a state_dict as something else."""

    @classmethod
    def from_state(cls, state):
        return cls(spread=2.0)


OTHER_GENERATOR = torch.Generator()


def blobs(**members):
    """A case of the good prior with these members in place of its own."""
    return testing.PriorCase(type("Blobs", (Blobs,), members))


def learned(**members):
    """A case of the good prior with parameters, with these members in place of its own."""
    return testing.PriorCase(type("Learned", (Learned,), members))


def sampling(transform):
    """A case of the good prior whose samples are altered."""
    return blobs(sample=lambda self, shape=torch.Size(): transform(Blobs.sample(self, shape)))


def labeling(transform):
    """A case of the good prior whose labeled samples are altered."""
    return blobs(
        sample_labeled=lambda self, shape=torch.Size(): LabeledSample(*transform(*Blobs().sample_labeled(shape)))
    )


def density(log_prob):
    """A case of the good prior with another log_prob."""
    return blobs(log_prob=lambda self, value: log_prob(value))


REJECTED = {
    "check_sample_shape": [
        (sampling(lambda x: x[..., None]), "sample(()) must have shape (2,), not (2, 1)"),
        (blobs(sample=lambda self, shape: torch.randn(7, 2)), "sample(()) must have shape (2,), not (7, 2)"),
        (blobs(event_shape=(2,)), "event_shape must be a torch.Size, not (2,)"),
        (blobs(support=None), "support must be a torch constraint, not None"),
    ],
    "check_batch_shape": [
        (testing.PriorCase(lambda: Normal(torch.zeros(2), 1.0)), "must be empty, not (2,): wrap the distribution in"),
    ],
    "check_sample_dtype": [
        (sampling(torch.Tensor.long), "samples must be floating-point numbers, not torch.int64"),
        (sampling(lambda x: x / 0), "samples must be finite"),
    ],
    "check_sample_device": [
        (sampling(lambda x: x.to("meta")), "samples must be on the CPU before the prior is moved, not on meta"),
        (blobs(sample=lambda self, shape: torch.randn(*shape, 2)), "must follow it, not stay on cpu"),
        (
            blobs(sample=lambda self, shape: torch.randn(*shape, 2) + self.centers[0]),
            "sample fails after the prior was",
        ),
    ],
    "check_sample_gradient": [
        (sampling(torch.Tensor.requires_grad_), "samples must carry no gradient"),
    ],
    "check_sample_seed": [
        (sampling(torch.ones_like), "different torch seeds must give different samples"),
        (sampling(lambda x: x + torch.rand(1, generator=OTHER_GENERATOR)), "the same torch seed must give the same"),
    ],
    "check_sample_rows": [
        (blobs(sample=lambda self, shape: torch.randn(2).expand(*shape, 2)), "two calls of sample differ in distrib"),
        (sampling(lambda x: x + torch.randn(2)), "draw random numbers for each sample"),
    ],
    "check_sample_support": [
        (blobs(support=constraints.independent(constraints.unit_interval, 1)), "of 1000 samples lie outside"),
        (blobs(support=constraints.one_hot), "1000 of 1000 samples lie outside OneHot(), such as ["),
    ],
    "check_support_reachable": [
        (blobs(support=constraints.nonnegative_integer), "no encoder head maps into the support"),
    ],
    "check_prior_state": [
        (testing.PriorCase(Used), "must sample the same"),
        (testing.PriorCase(Forgetful), "a second instance with the state_dict of the first must sample the same"),
        (
            testing.PriorCase(Misremembered),
            "an instance by from_state with the state_dict of the first must sample",
        ),
    ],
    "check_follow": [
        (testing.PriorCase(Frequencies), "the state of follow must be in buffers"),
        (testing.PriorCase(Counting), "the state of follow must be in buffers"),
        (testing.PriorCase(Renewing), "follow must change buffers in place, where a captured step finds them: large"),
        (blobs(follow=lambda self, code: code.zero_()), "follow must not change the codes it is shown"),
        (
            blobs(follow=lambda self, code: setattr(self, "centers", self.centers + 1)),
            "follow must change buffers in place",
        ),
        (blobs(follow=lambda self, code: self.centers.mul_(torch.nan)), "samples lie outside"),
        (
            blobs(follow=lambda self, code: setattr(self, "sample", lambda shape: torch.zeros(*shape, 3))),
            "samples are of shape (1000, 3) after follow",
        ),
        (
            testing.PriorCase(lambda: Independent(Normal(torch.zeros(2), 1.0), 1)),
            "a prior that follows codes must be an nn.Module, not Independent",
        ),
    ],
    "check_prior_loss": [
        (
            testing.PriorCase(Untrained),
            "nothing would train the parameters loc, log_scale: give the prior loss(code)",
        ),
        (blobs(loss=lambda self, code: code.mean()), "must be an nn.Module with parameters"),
        (learned(loss=lambda self, code: -self.log_prob(code)), "loss(code) must be a scalar, not of shape (64,)"),
        (learned(loss=lambda self, code: (code - self.loc).mean() / 0), "must be finite on codes"),
        (
            learned(loss=lambda self, code: (code - self.loc).square().mean()),
            "must have a gradient to each parameter; it has none to log_scale",
        ),
        (learned(loss=lambda self, code: code.mean()), "it has none to loc, log_scale"),
        (
            learned(loss=lambda self, code: 0 * (self.loc.sum() + self.log_scale.sum())),
            "the gradient of loss(code) is zero",
        ),
        (
            learned(log_prob=lambda self, value: self.distribution().log_prob(value).detach()),
            "log_prob must have a gradient to each parameter",
        ),
    ],
    "check_bind": [
        (testing.PriorCase(Absorbing), "the encoder must not be a submodule of the prior"),
        (testing.PriorCase(Wiping), "bind must leave the rows"),
        (testing.PriorCase(Unkept), "a second instance must sample the same"),
        (testing.PriorCase(Closing), "a copy of the prior must use the copy's encoder"),
    ],
    "check_log_prob_shape": [
        (density(lambda x: x), "log_prob of () samples must have shape (), not (2,)"),
        (density(lambda x: x.sum(-1) / 0), "log_prob must be finite on the prior's own samples"),
    ],
    "check_log_prob_fit": [
        (density(Blobs(spread=1.2).log_prob), "samples do not follow log_prob (p-value"),
        (density(Blobs(spread=0.8).log_prob), "samples do not follow log_prob (p-value"),
        (density(lambda x: Blobs().log_prob(x) + 0.1), "samples do not follow log_prob (p-value"),
        (density(lambda x: x.sum(-1) * math.nan), "samples do not follow log_prob (p-value"),
    ],
    "check_labels": [
        (labeling(lambda x, y: (x, y.float())), "labels must be int64, not torch.float32"),
        (labeling(lambda x, y: (x, y + 1)), "labels must be in [0, 2), found 1 to 2"),
        (labeling(lambda x, y: (x, y[..., None])), "labels must have shape (), not (1,)"),
        (labeling(lambda x, y: (x[..., None], y)), "labeled values must have shape (2,), not (2, 1)"),
    ],
    "check_label_classes": [(blobs(num_classes=4), "of num_classes = 4 classes these never occur: [2, 3]")],
    "check_label_marginal": [
        (labeling(lambda x, y: (1.2 * x, y)), "sample_labeled and sample differ in distribution (p-value"),
    ],
}


@pytest.mark.slow
@pytest.mark.parametrize("check", REJECTED)
def test_a_good_prior_is_accepted(check):
    good = {"check_prior_loss": Learned, "check_bind": Bound}
    getattr(testing, check)(testing.PriorCase(good.get(check, Blobs)))


@pytest.mark.parametrize(
    "factory", [Drawing, partial(categorical, follow=0.002), partial(categorical, follow=0.1, follow_after=200)]
)
def test_a_prior_may_follow_by_chance_slowly_or_late(factory):
    testing.check_follow(testing.PriorCase(factory))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("check", "case", "message"), [(check, *broken) for check, cases in REJECTED.items() for broken in cases]
)
def test_a_broken_prior_is_rejected(check, case, message):
    with pytest.raises(AssertionError) as raised:
        getattr(testing, check)(case)
    assert message in str(raised.value)


def test_a_loss_that_trains_nothing_is_no_matter():
    fixed = {check.id: check.inapplicable for check in testing.plan("prior", lambda: Learned().requires_grad_(False))}
    assert fixed["prior-loss"] == "has no parameters to train"


def test_every_check_of_a_prior_has_a_broken_one_to_reject():
    assert {check.__name__ for check in CHECKS["prior"]} == set(REJECTED)


@pytest.mark.slow
@pytest.mark.parametrize(
    "prior",
    [
        Independent(Normal(torch.zeros(3), 1.0), 1),
        OneHotCategorical(torch.tensor([0.2, 0.3, 0.5])),
        MixtureSameFamily(Categorical(torch.ones(2)), Independent(Normal(torch.eye(2), 0.1), 1)),
        Normal(0.0, 1.0),
    ],
    ids=["gaussian", "one-hot", "mixture", "scalar"],
)
def test_a_torch_distribution_is_a_prior_as_it_stands(prior):
    for _, check in testing.checks_for("prior", lambda: prior):
        check()


def test_one_hot_samples_with_wrong_frequencies_are_rejected():
    class Biased(OneHotCategorical):
        def log_prob(self, value):
            return OneHotCategorical(torch.tensor([0.25, 0.25, 0.5])).log_prob(value)

    with pytest.raises(AssertionError, match="samples do not follow log_prob"):
        testing.check_log_prob_fit(testing.PriorCase(lambda: Biased(torch.tensor([0.2, 0.3, 0.5]))))


class Circle(constraints.Constraint):
    """Points of the plane whose distance from 0 lies between two radii."""

    is_discrete, event_dim = False, 1

    def __init__(self, inner, outer):
        self.inner, self.outer = inner, outer

    def check(self, value):
        return (value.norm(dim=-1) >= self.inner) & (value.norm(dim=-1) <= self.outer)


def ring(inner, outer, density):
    """Points uniform by area between two radii, with a density that is constant there."""

    class Ring:
        event_shape, support = torch.Size([2]), Circle(inner - 1e-4, outer + 1e-4)

        def sample(self, shape=torch.Size()):
            angle = 2 * math.pi * torch.rand(shape)
            radius = (inner**2 + (outer**2 - inner**2) * torch.rand(shape)).sqrt()
            return radius[..., None] * torch.stack([angle.cos(), angle.sin()], dim=-1)

        def log_prob(self, value):
            return torch.full(value.shape[:-1], math.log(density))

    return testing.PriorCase(Ring)


@pytest.mark.parametrize("density", [1 / (2 * math.pi), 3.0])
def test_a_density_by_length_of_a_curve_is_said_to_be_out_of_reach_right_or_wrong(density):
    case = ring(1, 1, density)

    assert "cannot be measured on this support, a curved surface" in testing.check_log_prob_fit(case)
    offer = InstalledComponent(
        "prior", Component("ring", f"{__name__}:on_a_circle", "a circle"), "aaeframe-ring", "1.0", "ring"
    )
    (outcome,) = [it for it in check_component(offer) if it.id == "log-prob-fit"]
    assert outcome.verdict == "inapplicable"
    assert outcome.message.startswith("cannot be measured on this support")


def on_a_circle():
    return ring(1, 1, 3.0).build()


@pytest.mark.slow
def test_a_density_around_a_hole_is_one_by_area():
    assert testing.check_log_prob_fit(ring(0.9, 1.1, 1 / (0.4 * math.pi))) is None
    with pytest.raises(AssertionError, match=r"samples do not follow log_prob .*, Circle, is larger than where"):
        testing.check_log_prob_fit(ring(0.9, 1.1, 1 / (2 * math.pi)))


def test_checks_leave_the_callers_generator_alone():
    torch.manual_seed(7)
    before = torch.get_rng_state()

    testing.check_sample_seed(testing.PriorCase(Blobs))
    list(testing.plan("prior", Blobs))

    assert torch.equal(torch.get_rng_state(), before)
