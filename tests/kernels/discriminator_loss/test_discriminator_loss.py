"""The discriminator loss in plain torch: the reference, the few operations, and the border."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from aaeframe_kernels import discriminator_loss
from aaeframe_kernels.dispatch import launches

KINDS = ["bce", "least-squares", "hinge", "wasserstein"]
SIGNED = {"hinge", "wasserstein"}

OWN_WORDS = {
    "bce": lambda z, t: binary_cross_entropy_with_logits(z, t, reduction="none"),
    "least-squares": lambda z, t: 0.5 * (z - t) ** 2,
    "hinge": lambda z, t: torch.clamp(1 - t * z, min=0),
    "wasserstein": lambda z, t: -(t * z),
}
"""The losses once more, by other means than the kernels'."""


def case(rows=7, width=5, kind="bce", dtype=torch.float64):
    draw = torch.Generator().manual_seed(0)
    features = torch.randn(rows, width, generator=draw, dtype=dtype, requires_grad=True)
    weight = torch.randn(1, width, generator=draw, dtype=dtype, requires_grad=True)
    bias = torch.randn(1, generator=draw, dtype=dtype, requires_grad=True)
    target = torch.rand(rows, generator=draw, dtype=dtype)
    row_weight = torch.randn(rows, generator=draw, dtype=dtype)
    return features, weight, bias, (target > 0.5) * 2.0 - 1 if kind in SIGNED else target, row_weight


def expected_loss(features, weight, bias, target, row_weight, kind, relu):
    activations = torch.clamp(features, min=0) if relu else features
    return (row_weight * OWN_WORDS[kind](activations @ weight[0] + bias, target)).sum()


@pytest.mark.parametrize(
    ("path", "dtype"), [("cpu", torch.float32), ("cpu", torch.float64), ("reference", torch.float64)]
)
@pytest.mark.parametrize("relu", [False, True], ids=["", "relu"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("rows", "width"), [(1, 1), (7, 5), (200, 1000)])
def test_loss_and_gradients(rows, width, kind, relu, path, dtype, monkeypatch):
    monkeypatch.setenv("AAEFRAME_KERNELS", path)
    inputs = case(rows, width, kind)
    wanted = expected_loss(*inputs, kind, relu)
    ours = [part.detach().to(dtype).requires_grad_(part.requires_grad) for part in inputs]
    before = launches[f"{path}/discriminator_loss"]

    loss = discriminator_loss(*ours, kind=kind, relu=relu).loss

    assert launches[f"{path}/discriminator_loss"] == before + 1
    tolerance = 1e-5 if dtype == torch.float32 else 1e-12
    found = (loss.detach(), *torch.autograd.grad(3 * loss, ours[:3]))
    for mine, theirs in zip(found, (wanted.detach(), *torch.autograd.grad(3 * wanted, inputs[:3])), strict=True):
        assert float((mine.double() - theirs).norm()) <= tolerance * float(theirs.norm()) + tolerance


@pytest.mark.parametrize("path", ["cpu", "reference"])
@pytest.mark.parametrize("relu", [False, True], ids=["", "relu"])
@pytest.mark.parametrize("kind", KINDS)
def test_gradcheck(kind, relu, path, monkeypatch):
    monkeypatch.setenv("AAEFRAME_KERNELS", path)
    *inputs, target, row_weight = case(kind=kind)

    def loss(*parts):
        return discriminator_loss(*parts, target, row_weight, kind=kind, relu=relu).loss

    assert torch.autograd.gradcheck(loss, tuple(inputs))
    assert torch.autograd.gradgradcheck(loss, tuple(inputs))


@pytest.mark.parametrize("path", ["cpu", "reference"])
@pytest.mark.parametrize("kind", KINDS)
def test_target_and_row_weight_have_gradients(kind, path, monkeypatch):
    monkeypatch.setenv("AAEFRAME_KERNELS", path)
    *inputs, target, row_weight = case(kind=kind)
    last = (target.double().requires_grad_(), row_weight.requires_grad_())

    def loss(*parts):
        return discriminator_loss(*inputs, *parts, kind=kind).loss

    assert torch.autograd.gradcheck(loss, last)
    assert torch.autograd.gradgradcheck(loss, last)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("logit", [1e4, -1e4])
def test_extreme_logits_are_right(logit, kind):
    features = torch.tensor([[logit], [logit]], requires_grad=True)
    target = torch.tensor([1.0, -1.0 if kind in SIGNED else 0.0])

    loss = discriminator_loss(features, torch.ones(1), torch.zeros(1), target, torch.ones(2), kind=kind).loss
    loss.backward()

    wanted = OWN_WORDS[kind](features.detach().double()[:, 0], target.double()).sum()
    torch.testing.assert_close(loss.detach().double(), wanted, rtol=1e-7, atol=0)
    assert bool(torch.isfinite(features.grad).all())


def test_chance_costs_log_2_for_each_segment():
    real, fake = 3, 5
    target = torch.tensor([1.0] * real + [0.0] * fake)
    row_weight = torch.tensor([1 / real] * real + [1 / fake] * fake)

    result = discriminator_loss(torch.zeros(real + fake, 4), torch.ones(4), torch.zeros(1), target, row_weight)

    assert float(result.loss) == pytest.approx(2 * math.log(2))


@pytest.mark.parametrize("sizes", [None, (2, 2), (1, 3)])
def test_statistics_are_means_of_each_segment_whatever_the_row_weights(sizes):
    logits = torch.tensor([[2.0], [-1.0], [-3.0], [1.0]])
    target = torch.tensor([1.0, 1.0, 0.0, 0.0])
    row_weight = torch.tensor([3.0, 1.0, 1.0, 0.0])

    result = discriminator_loss(logits, torch.ones(1), torch.zeros(1), target, row_weight, sizes=sizes)

    accuracy, mean = {
        None: ([0.5], [-0.25]),
        (2, 2): ([0.5, 0.5], [0.5, -1.0]),
        (1, 3): ([1.0, 1 / 3], [2.0, -1.0]),
    }[sizes]
    torch.testing.assert_close(result.accuracy, torch.tensor(accuracy))
    torch.testing.assert_close(result.mean_logit, torch.tensor(mean))


@pytest.mark.parametrize("kind", KINDS)
def test_the_boundary_of_each_kind(kind):
    boundary = 0.5 if kind == "least-squares" else 0.0
    logits = torch.tensor([[boundary + 0.1], [boundary - 0.1], [boundary]])
    target = torch.tensor([1.0, -1.0, -1.0]) if kind in SIGNED else torch.tensor([0.9, 0.0, 0.0])

    result = discriminator_loss(logits, torch.ones(1), torch.zeros(1), target, torch.ones(3), kind=kind)

    assert result.accuracy.tolist() == [1.0]


def test_only_the_loss_has_a_gradient():
    result = discriminator_loss(*case(dtype=torch.float32))

    assert [part.requires_grad for part in result] == [True, False, False]


def test_arithmetic_is_float32_under_autocast():
    features, weight, bias, target, row_weight = case(50, 200, dtype=torch.float32)

    with torch.autocast("cpu", torch.bfloat16):
        inside = discriminator_loss(features.bfloat16(), weight, bias, target, row_weight).loss
    outside = discriminator_loss(features.bfloat16().float(), weight, bias, target, row_weight).loss

    assert inside.dtype == torch.float32
    assert torch.equal(inside, outside)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kind": "mse"}, "'mse' names no loss; there are: bce"),
        ({"features": torch.zeros(7)}, r"\(rows, width\) with at least one of each, not \(7,\)"),
        ({"features": torch.zeros(0, 5)}, r"at least one of each, not \(0, 5\)"),
        ({"weight": torch.zeros(4)}, r"weight must be \(5,\) or \(1, 5\) for features \(7, 5\), not \(4,\)"),
        ({"bias": torch.zeros(7)}, r"bias must be \(\) or \(1,\)"),
        ({"target": torch.zeros(7, 1)}, r"target must be \(7,\)"),
        ({"row_weight": torch.zeros(6)}, r"row_weight must be \(7,\)"),
        ({"sizes": (3, 3)}, r"sizes=\(3, 3\) must be positive and sum to the features' 7 rows"),
        ({"sizes": (7, 0)}, "must be positive"),
    ],
)
def test_inputs_that_do_not_fit_are_refused_in_words(change, words):
    names = ("features", "weight", "bias", "target", "row_weight")
    inputs = dict(zip(names, case(), strict=True)) | change

    with pytest.raises(ValueError, match=words):
        discriminator_loss(**inputs)
