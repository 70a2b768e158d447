from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from aaeframe import losses
from aaeframe.losses import AdversarialLoss, Segment, gradient_penalty
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
