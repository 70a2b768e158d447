from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy, cross_entropy

from aaeframe.losses import adversarial as losses
from aaeframe.losses.adversarial import AdversarialLoss, Segment, gradient_penalty
from aaeframe.losses.reconstruction import classification_loss, log_of, negative_log_likelihood
from aaeframe.protocols import SupportsHead, supports_head


class Body(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(2, 5)

    def forward(self, z, labels=None):
        return self.linear(z).relu()


class Headed(nn.Module):
    """A discriminator whose parts are where nn.Module keeps them, which is not in its __dict__."""

    def __init__(self, head):
        super().__init__()
        self.body, self.head = Body(), head

    def forward(self, z, labels=None):
        return self.head(self.body(z, labels)).squeeze(-1)


class Headless(nn.Module):
    """The same function, of which nothing is known."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, z, labels=None):
        return self.inner(z, labels)


KINDS = ["bce", "hinge", "least-squares", "wasserstein"]
HEADS = {"linear": nn.Linear(5, 1), "no bias": nn.Linear(5, 1, bias=False), "deep": nn.Sequential(nn.Linear(5, 1))}


def test_nobody_can_ask_isinstance_which_would_not_see_modules():
    with pytest.raises(TypeError, match="runtime_checkable"):
        isinstance(Headed(HEADS["linear"]), SupportsHead)


def test_a_head_and_a_body_are_modules():
    discriminator = Headed(HEADS["linear"])
    assert supports_head(discriminator)
    assert not supports_head(Headless(discriminator))
    discriminator.head = None
    assert not supports_head(discriminator)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_the_loss_is_the_same_with_and_without_a_head(head, kind):
    discriminator = Headed(head)
    segments = [Segment(torch.randn(6, 2), None, True), Segment(torch.randn(4, 2), None, False)]
    through_head, from_logits = (
        AdversarialLoss(kind).discriminator(it, segments) for it in (discriminator, Headless(discriminator))
    )
    torch.testing.assert_close(through_head, from_logits)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("role", ["discriminator", "generator"])
def test_a_linear_head_is_left_to_the_kernel(monkeypatch, role, bias):
    seen = []
    kernel = losses.discriminator_loss
    monkeypatch.setattr(
        losses,
        "discriminator_loss",
        lambda features, *rest, **how: seen.append(features) or kernel(features, *rest, **how),
    )
    loss = getattr(AdversarialLoss(), role)
    loss(Headed(nn.Linear(5, 1, bias=bias)), [Segment(torch.randn(6, 2), None, True)])
    assert seen[0].shape == (6, 5)


class Logits(nn.Module):
    """A discriminator whose logit is the code itself, so that a loss can be worked out by hand."""

    def forward(self, z, labels=None):
        return z.squeeze(1)


def played(role, kind, prior, code, **options):
    """The loss of logits of prior samples and of codes."""
    segments = [Segment(torch.tensor(prior).unsqueeze(1), None, True)] if role == "discriminator" else []
    segments.append(Segment(torch.tensor(code).unsqueeze(1), None, False))
    return getattr(AdversarialLoss(kind, **options), role)(Logits(), segments).loss.item()


def log1pexp(x):
    return math.log1p(math.exp(x))


@pytest.mark.parametrize(
    ("kind", "discriminator", "generator"),
    [
        ("bce", (log1pexp(-0.5) + log1pexp(2.0)) / 2 + log1pexp(3.0), log1pexp(-3.0)),
        ("least-squares", (0.25 + 9.0) / 4 + 9.0 / 2, 4.0 / 2),
        ("hinge", (0.5 + 3.0) / 2 + 4.0, -3.0),
        ("wasserstein", -(0.5 - 2.0) / 2 + 3.0, -3.0),
    ],
)
def test_each_kind_is_the_loss_of_its_paper(kind, discriminator, generator):
    assert played("discriminator", kind, [0.5, -2.0], [3.0]) == pytest.approx(discriminator)
    assert played("generator", kind, [], [3.0]) == pytest.approx(generator)


def test_labels_are_smoothed_for_prior_samples_alone():
    prior, code = log1pexp(-0.5) * 0.9 + log1pexp(0.5) * 0.1, log1pexp(3.0)
    assert played("discriminator", "bce", [0.5], [3.0], label_smoothing=0.1) == pytest.approx(prior + code)
    assert played("generator", "bce", [], [3.0], label_smoothing=0.1) == pytest.approx(log1pexp(-3.0))


@pytest.mark.parametrize("kind", KINDS)
def test_accuracy_is_of_each_segment(kind):
    segments = [Segment(torch.full((4, 1), 5.0), None, True), Segment(torch.tensor([[5.0], [-5.0]]), None, False)]
    result = AdversarialLoss(kind).discriminator(Logits(), segments)
    assert result.accuracy.tolist() == [1.0, 0.5]
    assert result.mean_logit.tolist() == [5.0, 0.0]


class Quadratic(nn.Module):
    """D(z) = a |z|² / 2, whose slope is a z."""

    def __init__(self):
        super().__init__()
        self.a = nn.Parameter(torch.tensor(3.0))

    def forward(self, z, labels=None):
        return 0.5 * self.a * z.square().sum(1)


def test_the_gradient_penalty_is_the_squared_slope_at_prior_samples():
    discriminator, prior, code = Quadratic(), torch.randn(50, 2), torch.randn(30, 2)
    penalty = gradient_penalty(discriminator, [Segment(prior, None, True), Segment(code, None, False)])
    mean = prior.square().sum(1).mean()
    torch.testing.assert_close(penalty, 0.5 * discriminator.a**2 * mean)
    penalty.backward()
    torch.testing.assert_close(discriminator.a.grad, discriminator.a.detach() * mean)
    assert prior.grad is None


# Classification and likelihood.


def logits(rows=50, classes=7, scale=3.0):
    return scale * torch.randn(rows, classes, generator=torch.Generator().manual_seed(0))


def test_the_classification_loss_is_the_cross_entropy():
    raw, labels = logits(), torch.arange(50) % 7
    assert torch.allclose(classification_loss(raw.softmax(1), labels), cross_entropy(raw, labels), atol=1e-5)


@pytest.mark.parametrize("scale", [0.1, 3.0, 10.0])
def test_its_gradient_is_that_of_the_cross_entropy_of_logits(scale):
    labels, found, expected = torch.arange(50) % 7, logits(scale=scale), logits(scale=scale)
    classification_loss(found.requires_grad_().softmax(1), labels).backward()
    cross_entropy(expected.requires_grad_(), labels).backward()
    assert torch.allclose(found.grad, expected.grad, atol=1e-7)


@pytest.mark.parametrize("gap", [-60.0, 60.0, 86.0])
def test_however_wrong_a_class_is_its_logit_is_pulled_with_full_strength(gap):
    """Down to probabilities of 1e-38, that is."""
    found, expected = (torch.tensor([[gap, 0.0], [0.0, gap]], requires_grad=True) for _ in range(2))
    labels = torch.tensor([1, 0])
    loss = classification_loss(found.softmax(1), labels)
    loss.backward()
    cross_entropy(expected, labels).backward()
    assert loss.item() == pytest.approx(max(gap, 0.0), abs=1e-3)
    assert torch.allclose(found.grad, expected.grad, atol=1e-5)


def test_beyond_that_the_classification_loss_is_as_large_as_it_gets_and_its_gradient_finite():
    raw = torch.tensor([[60.0, -60.0]], requires_grad=True)
    loss = classification_loss(raw.softmax(1), torch.tensor([1]))
    loss.backward()
    assert loss.item() == pytest.approx(-math.log(torch.finfo(torch.float32).tiny))
    assert raw.grad.isfinite().all()


def test_the_logarithm_of_0_is_finite():
    assert log_of(torch.tensor([0.0, 1e-30, 1.0])).tolist() == pytest.approx([-87.3365, math.log(1e-30), 0.0], abs=1e-4)


def images(rows=8):
    random = torch.Generator().manual_seed(0)
    return torch.rand(rows, 2, 3, 3, generator=random), torch.rand(rows, 2, 3, 3, generator=random)


def test_the_bernoulli_likelihood_is_the_binary_cross_entropy():
    x_hat, x = images()
    expected = binary_cross_entropy(x_hat.double(), x.double(), reduction="sum") / 8
    assert negative_log_likelihood(x_hat, x, "bernoulli").item() == pytest.approx(expected.item(), rel=1e-6)


def test_the_gaussian_likelihood_is_of_variance_1():
    x_hat, x = images()
    expected = -torch.distributions.Normal(x_hat.double(), 1.0).log_prob(x.double()).sum() / 8
    assert negative_log_likelihood(x_hat, x, "gaussian").item() == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize(("x_hat", "x"), [(0.0, 0.0), (1.0, 1.0), (0.0, 1.0), (1.0, 0.0)])
def test_the_bernoulli_likelihood_of_certain_pixels_is_finite(x_hat, x):
    mean = torch.full((2, 1), x_hat, requires_grad=True)
    loss = negative_log_likelihood(mean, torch.full((2, 1), x), "bernoulli")
    assert loss.item() == pytest.approx(0.0 if x_hat == x else 87.3365, abs=1e-4)
    loss.backward()
    assert mean.grad.isfinite().all()


def test_the_bernoulli_likelihood_of_half_numbers_is_computed_in_float32():
    x_hat, x = images()
    half = x_hat.bfloat16()
    found = negative_log_likelihood(half, x, "bernoulli")
    assert found.dtype == torch.float32
    assert torch.equal(found, negative_log_likelihood(half.float(), x, "bernoulli"))
