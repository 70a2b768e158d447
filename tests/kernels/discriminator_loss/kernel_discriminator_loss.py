"""The Triton discriminator loss against the reference in float64."""

from __future__ import annotations

import pytest
import torch

from aaeframe_kernels import discriminator_loss
from aaeframe_kernels.discriminator_loss import launch
from aaeframe_kernels.discriminator_loss.reference import Form, reference
from aaeframe_kernels.dispatch import KernelUnavailable, launches

pytestmark = pytest.mark.usefixtures("triton_only", "poisoned")

KINDS = ["bce", "least-squares", "hinge", "wasserstein"]
SIGNED = {"hinge", "wasserstein"}


def case(rows, width, device, kind="bce", dtype=torch.float32):
    """Features, weight, bias, soft or signed targets, and row weights of both signs."""
    draw = torch.Generator().manual_seed(rows + width)
    features = torch.randn(rows, width, generator=draw).to(dtype)
    weight = torch.randn(1, width, generator=draw) / width**0.5
    target = torch.rand(rows, generator=draw)
    target = (target > 0.5).float() * 2 - 1 if kind in SIGNED else target
    inputs = (features, weight, torch.randn(1, generator=draw), target, torch.randn(rows, generator=draw))
    return tuple(part.to(device) for part in inputs)


def differentiable(inputs, dtype=None):
    parts = [part.to(dtype) for part in inputs]
    return [part.detach().requires_grad_(index < 3) for index, part in enumerate(parts)]


def by_reference(*inputs, kind="bce", sizes=None, relu=False):
    return reference(*inputs, Form(kind, sizes or (len(inputs[0]),), relu))


def compare(inputs, tolerance=2e-6, upstream=1.0, **options):
    """Result and gradients of the kernels against the reference in float64, by the norm of the difference."""
    before = launches["triton/discriminator_loss"]
    ours, exact = differentiable(inputs), differentiable(inputs, torch.float64)
    result = discriminator_loss(*ours, **options)
    expected = by_reference(*exact, **options)
    found = torch.autograd.grad(result.loss, ours[:3], torch.tensor(upstream, device=inputs[0].device))
    wanted = torch.autograd.grad(upstream * expected.loss, exact[:3])
    for mine, theirs in zip((*result, *found), (*expected, *wanted), strict=True):
        assert mine.shape == theirs.shape
        difference = (mine.double() - theirs).detach().norm()
        assert float(difference) <= tolerance * float(theirs.detach().norm()) + tolerance
    assert launches["triton/discriminator_loss"] == before + 1


@pytest.mark.parametrize("relu", [False, True], ids=["", "relu"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind(kind, relu, device):
    compare(case(37, 100, device, kind), kind=kind, relu=relu)


@pytest.mark.parametrize(("rows", "width"), [(1, 1), (1, 1000), (5, 17), (65, 3), (200, 1000), (3, 1025), (2, 5000)])
def test_every_shape(rows, width, device):
    compare(case(rows, width, device), relu=True)


def test_more_tiles_than_programs(monkeypatch, device):
    monkeypatch.setattr(launch, "PROGRAMS", 3)

    compare(case(157, 1000, device), sizes=(100, 57))


def test_more_programs_than_the_merge_reads_at_once(device):
    compare(case(4 * launch.MERGED + 5, 1000, device))


@pytest.mark.parametrize("sizes", [(9,), (4, 5), (1, 7, 1), (2, 2, 4, 1)])
def test_statistics_of_every_segment(sizes, device):
    inputs = case(9, 20, device)
    result = discriminator_loss(*inputs, sizes=sizes)
    logits = (inputs[0].double() @ inputs[1][0].double() + inputs[2].double()).split(sizes)
    sides = (inputs[3] > 0.5).split(sizes)

    mean = torch.stack([part.mean() for part in logits])
    right = torch.stack([((z > 0) == side).double().mean() for z, side in zip(logits, sides, strict=True)])

    torch.testing.assert_close(result.mean_logit.double(), mean, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(result.accuracy.double(), right)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("logit", [1e4, -1e4, 30.0, -30.0, 0.0])
def test_extreme_logits(logit, kind, device):
    features, _, _, target, row_weight = case(6, 1, device, kind)
    inputs = (torch.full_like(features, logit), torch.ones(1, device=device), torch.zeros((), device=device))

    compare((*inputs, target, row_weight), kind=kind)


def test_confident_rows_keep_their_small_loss(device):
    inputs = [torch.full((1, 1), 12.0), torch.ones(1), torch.zeros(1), torch.ones(1), torch.ones(1)]

    loss = discriminator_loss(*(part.to(device) for part in inputs)).loss

    assert float(loss) == pytest.approx(6.144193528e-06, rel=1e-6)  # log(1 + e) in fp32: 6.20e-6


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_features(dtype, device):
    compare(case(37, 100, device, dtype=dtype), relu=True, tolerance=0.01)


def test_float16_gradients_are_scaled_before_they_are_rounded(device):
    features, weight, bias, target, row_weight = case(37, 100, device, dtype=torch.float16)

    compare((features, weight, bias, target, row_weight * 1e-7), upstream=1e7, tolerance=1e-3)


@pytest.mark.parametrize("layout", ["transposed", "every other column", "every other row", "offset"])
def test_any_layout(layout, device):
    features, weight, *rest = case(37, 100, device)
    strided = {
        "transposed": features.t().contiguous().t(),
        "every other column": torch.stack([features, features], 2).flatten(1)[:, ::2],
        "every other row": features.repeat_interleave(2, 0)[::2],
        "offset": torch.cat([features[:, :3], features], 1)[:, 3:],
    }[layout]
    assert torch.equal(strided, features)

    compare((strided, weight.repeat(2, 1).t()[:, 0], *rest))


@pytest.mark.parametrize("upstream", [1.0, -2.5, 0.0])
def test_upstream_gradient(upstream, device):
    compare(case(37, 100, device), upstream=upstream, relu=True)


def test_a_second_backward_gives_the_same(device):
    inputs = differentiable(case(37, 100, device))
    loss = discriminator_loss(*inputs).loss
    first = [grad.clone() for grad in torch.autograd.grad(3 * loss, inputs[:3], retain_graph=True)]

    torch.testing.assert_close(first, list(torch.autograd.grad(3 * loss, inputs[:3])))


@pytest.mark.parametrize("kind", KINDS)
def test_double_backward(kind, device):
    found = []
    for dtype in (torch.float32, torch.float64):
        inputs = differentiable(case(7, 20, device, kind), dtype)
        of = discriminator_loss if dtype == torch.float32 else by_reference
        loss = of(*inputs, kind=kind, relu=True).loss
        slopes = torch.autograd.grad(loss * loss, inputs[:3], create_graph=True)
        found.append(torch.autograd.grad(sum(slope.square().sum() for slope in slopes), inputs[:3]))

    for mine, theirs in zip(*found, strict=True):
        assert float((mine.double() - theirs).norm()) <= 1e-5 * float(theirs.norm())


@pytest.mark.parametrize("frozen", [{0}, {1}, {2}, {1, 2}, {0, 1}])
def test_only_the_gradients_asked_for(frozen, device):
    inputs = [part.requires_grad_(index < 3 and index not in frozen) for index, part in enumerate(case(9, 20, device))]
    exact = [part.detach().double().requires_grad_(part.requires_grad) for part in inputs]

    discriminator_loss(*inputs).loss.backward()
    by_reference(*exact).loss.backward()

    for mine, theirs in zip(inputs, exact, strict=True):
        assert (mine.grad is None) == (theirs.grad is None)
        if theirs.grad is not None:
            torch.testing.assert_close(mine.grad.double(), theirs.grad, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("mode", ["no_grad", "nothing asked"])
def test_no_gradients_are_made_in_vain(mode, monkeypatch, device):
    asked = []
    original = launch.launch
    monkeypatch.setattr(launch, "launch", lambda *args, **kwargs: asked.append(kwargs) or original(*args, **kwargs))
    inputs = differentiable(case(9, 20, device)) if mode == "no_grad" else case(9, 20, device)

    with torch.set_grad_enabled(mode != "no_grad"):
        loss = discriminator_loss(*inputs).loss

    assert asked == [{"need_features": False, "need_parameters": False}]
    assert not loss.requires_grad


def test_statistics_have_no_gradient(device):
    result = discriminator_loss(*differentiable(case(9, 20, device)))

    assert result.loss.requires_grad
    assert not result.accuracy.requires_grad
    assert not result.mean_logit.requires_grad


def test_equal_bits_every_time(device):
    inputs = case(200, 1000, device)

    first, second = (discriminator_loss(*inputs) for _ in range(2))

    assert all(torch.equal(mine, theirs) for mine, theirs in zip(first, second, strict=True))


@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")  # NumPy's, in the interpreter
@pytest.mark.parametrize("kind", KINDS)
def test_nan_shows(kind, device):
    features, *rest = case(9, 20, device, kind)
    features[4, 7] = float("nan")

    result = discriminator_loss(features, *rest, kind=kind)

    assert bool(result.loss.isnan())
    assert bool(result.mean_logit.isnan().all())


@pytest.mark.parametrize("which", [3, 4])
def test_gradients_that_the_kernel_does_not_have_are_refused_where_it_is_forced(which, device):
    inputs = case(9, 20, device)
    inputs[which].requires_grad_()

    with pytest.raises(KernelUnavailable, match="target or row_weight requires a gradient"):
        discriminator_loss(*inputs)
    with torch.no_grad():
        assert bool(discriminator_loss(*inputs).loss.isfinite())


def test_float64_is_refused_where_the_kernel_is_forced(device):
    with pytest.raises(KernelUnavailable, match=r"features are float64.*; unset AAEFRAME_KERNELS"):
        discriminator_loss(*case(9, 20, device, dtype=torch.float64))


@pytest.mark.parametrize(("width", "sizes"), [(launch.WIDEST + 1, (5,)), (3, (1,) * 5)])
def test_what_the_kernel_cannot_hold_is_refused_where_it_is_forced(width, sizes, device):
    with pytest.raises(KernelUnavailable, match=r"wide|segments"):
        discriminator_loss(*case(5, width, device), sizes=sizes)
