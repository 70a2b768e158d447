"""The discriminator loss against torch's own binary cross-entropy, in float64."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from aaeframe_kernels import discriminator_loss


def case(rows=7, width=5, dtype=torch.float64):
    draw = torch.Generator().manual_seed(0)
    features = torch.randn(rows, width, generator=draw, dtype=dtype, requires_grad=True)
    weight = torch.randn(width, generator=draw, dtype=dtype, requires_grad=True)
    bias = torch.randn((), generator=draw, dtype=dtype, requires_grad=True)
    target = torch.rand(rows, generator=draw, dtype=dtype)
    row_weight = torch.rand(rows, generator=draw, dtype=dtype)
    return features, weight, bias, target, row_weight


@pytest.mark.parametrize(("rows", "width"), [(1, 1), (7, 5), (200, 1000)])
def test_loss_and_gradients_are_those_of_weighted_binary_cross_entropy(rows, width):
    features, weight, bias, target, row_weight = case(rows, width)
    logits = features @ weight + bias
    expected = binary_cross_entropy_with_logits(logits, target, row_weight, reduction="sum")

    loss = discriminator_loss(features, weight, bias, target, row_weight).loss

    torch.testing.assert_close(loss, expected)
    for ours, theirs in zip(
        torch.autograd.grad(loss, (features, weight, bias)),
        torch.autograd.grad(expected, (features, weight, bias)),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs)


def test_gradcheck():
    features, weight, bias, target, row_weight = case()

    assert torch.autograd.gradcheck(
        lambda *parts: discriminator_loss(*parts, target, row_weight).loss, (features, weight, bias)
    )


@pytest.mark.parametrize("logit", [1e4, -1e4])
def test_extreme_logits_stay_finite(logit):
    features = torch.tensor([[logit], [logit]], requires_grad=True)
    target = torch.tensor([1.0, 0.0])

    loss = discriminator_loss(features, torch.ones(1), torch.zeros(1), target, torch.ones(2)).loss
    loss.backward()

    assert float(loss.detach()) == 1e4  # one of the two rows is right and costs nothing
    assert bool(torch.isfinite(features.grad).all())


def test_chance_costs_log_2_for_each_segment():
    real, fake = 3, 5
    target = torch.tensor([1.0] * real + [0.0] * fake)
    row_weight = torch.tensor([1 / real] * real + [1 / fake] * fake)

    result = discriminator_loss(torch.zeros(real + fake, 4), torch.ones(4), torch.zeros(1), target, row_weight)

    assert float(result.loss) == pytest.approx(2 * math.log(2))


def test_accuracy_and_mean_logit_weigh_rows():
    logits = torch.tensor([[2.0], [-1.0], [-3.0], [1.0]])
    target = torch.tensor([1.0, 1.0, 0.0, 0.0])
    row_weight = torch.tensor([3.0, 1.0, 1.0, 1.0])

    result = discriminator_loss(logits, torch.ones(1), torch.zeros(1), target, row_weight)

    assert float(result.accuracy) == pytest.approx(4 / 6)
    assert float(result.mean_logit) == pytest.approx((6 - 1 - 3 + 1) / 6)
    assert not result.accuracy.requires_grad


def test_arithmetic_is_float32_under_autocast():
    features, weight, bias, target, row_weight = case(50, 200, torch.float32)

    with torch.autocast("cpu", torch.bfloat16):
        inside = discriminator_loss(features.bfloat16(), weight, bias, target, row_weight).loss
    outside = discriminator_loss(features.bfloat16().float(), weight, bias, target, row_weight).loss

    assert inside.dtype == torch.float32
    assert torch.equal(inside, outside)
