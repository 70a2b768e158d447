from __future__ import annotations

import pytest
import torch
from torch import nn

from aaeframe import losses
from aaeframe.losses import Segment, adversarial_loss
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


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_the_loss_is_the_same_with_and_without_a_head(head):
    discriminator = Headed(head)
    segments = [Segment(torch.randn(6, 2), None, True), Segment(torch.randn(4, 2), None, False)]
    through_head, from_logits = (adversarial_loss(it, segments, 0.0) for it in (discriminator, Headless(discriminator)))
    torch.testing.assert_close(through_head, from_logits)


def test_a_linear_head_is_left_to_the_kernel(monkeypatch):
    seen = []
    kernel = losses.discriminator_loss
    monkeypatch.setattr(
        losses, "discriminator_loss", lambda features, *rest: seen.append(features) or kernel(features, *rest)
    )
    adversarial_loss(Headed(HEADS["linear"]), [Segment(torch.randn(6, 2), None, True)], 0.0)
    assert seen[0].shape == (6, 5)
