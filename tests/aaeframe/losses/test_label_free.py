"""The label-free terms, by hand and against what they are to do."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.distributions import Categorical

from aaeframe.losses.label_free import (
    GROWTH,
    PROBE,
    SHIFT,
    LabelFree,
    augmentation_loss,
    conditional_entropy,
    divergence,
    marginal_entropy,
    mutual_information_loss,
    virtual_adversarial_loss,
    warped,
)
from aaeframe.seeds import stream


@pytest.fixture(autouse=True)
def seeded():
    with stream(0, "label-free"):
        yield


def simplex(rows=20, classes=5, sharpness=2.0):
    return (sharpness * torch.randn(rows, classes)).softmax(1)


# Entropies.


def test_entropies_by_hand():
    y = torch.tensor([[0.5, 0.5, 0.0], [0.25, 0.25, 0.5], [0.0, 1.0, 0.0]])
    assert conditional_entropy(y).item() == pytest.approx((math.log(2) + 1.5 * math.log(2) + 0) / 3)
    mean = [0.25, 1.75 / 3, 0.5 / 3]
    assert marginal_entropy(y).item() == pytest.approx(-sum(p * math.log(p) for p in mean))


def test_entropies_are_torchs():
    y = simplex()
    assert torch.allclose(conditional_entropy(y), Categorical(probs=y).entropy().mean(), atol=1e-5)
    assert torch.allclose(marginal_entropy(y), Categorical(probs=y.mean(0)).entropy(), atol=1e-5)


@pytest.mark.parametrize("classes", [2, 10, 30])
@pytest.mark.parametrize("balance", [1.0, 4.0])
def test_balanced_and_confident_is_the_best_there_is(classes, balance):
    best = mutual_information_loss(torch.eye(classes).repeat(3, 1), balance).item()
    assert best == pytest.approx(-balance * math.log(classes))
    for worse in (torch.full((9, classes), 1 / classes), simplex(60, classes), torch.eye(classes)[:1].repeat(9, 1)):
        assert mutual_information_loss(worse, balance) > best


def test_classes_that_are_even_enough_are_pressed_no_further():
    """With slack, rows of the classes 0, 0, 1, 2 cost what rows of four classes cost; those of one class cost more."""
    uneven, one = torch.eye(4)[[0, 0, 1, 2]], torch.eye(4)[[0, 0, 0, 0]]
    lacking = math.log(4) - marginal_entropy(uneven).item()
    for slack in (lacking + 0.01, lacking + 0.2):
        enough = -3 * (math.log(4) - slack)
        assert mutual_information_loss(uneven, 3.0, slack).item() == pytest.approx(enough)
        assert mutual_information_loss(torch.eye(4), 3.0, slack).item() == pytest.approx(enough)
        assert mutual_information_loss(one, 3.0, slack) > enough + 1
    assert mutual_information_loss(uneven, 3.0, lacking - 0.01) == mutual_information_loss(uneven, 3.0)


def test_for_balance_1_it_is_minus_the_mutual_information():
    y = simplex()
    joint = y / len(y)
    independent = joint.sum(0) * joint.sum(1, keepdim=True)
    assert torch.allclose(mutual_information_loss(y, 1.0), -(joint * (joint / independent).log()).sum(), atol=1e-5)


@pytest.mark.parametrize("loss", [conditional_entropy, marginal_entropy, mutual_information_loss])
@pytest.mark.parametrize("logit", [1.0, 30.0, 60.0, 120.0])
def test_gradients_are_finite_however_sure_a_row_is(loss, logit):
    """At 120 the other classes have the probability 0 in float32."""
    logits = torch.tensor([[logit, 0.0, 0.0], [0.0, logit, 0.0]], requires_grad=True)
    loss(logits.softmax(1)).backward()
    assert logits.grad.isfinite().all()


def test_gradients_are_those_of_float64():
    logits = torch.randn(20, 5, requires_grad=True)
    mutual_information_loss(logits.softmax(1)).backward()
    exact = logits.detach().double().requires_grad_()
    p = exact.softmax(1)
    (-(p * p.log()).sum(1).mean() + 4 * (p.mean(0) * p.mean(0).log()).sum()).backward()
    assert torch.allclose(logits.grad.double(), exact.grad, atol=1e-7)


# Divergence.


def test_the_divergence_is_that_of_the_rows():
    p, q = simplex(), simplex()
    expected = torch.distributions.kl_divergence(Categorical(probs=p), Categorical(probs=q)).mean()
    assert torch.allclose(divergence(p, q), expected, atol=1e-5)
    assert divergence(p, p).item() == 0


def test_the_divergence_is_finite_at_the_corners():
    corners = torch.eye(3)
    assert divergence(corners, corners).item() == 0
    assert divergence(corners, corners.roll(1, 0)).item() == pytest.approx(-math.log(torch.finfo(torch.float32).tiny))


# Virtual adversarial training.


class Net(nn.Module):
    """A small classifier that remembers what it was shown."""

    def __init__(self, inputs=12, classes=4, scale=1.0):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(inputs, 32), nn.Tanh(), nn.Linear(32, classes))
        self.scale, self.seen = scale, []

    def forward(self, x):
        self.seen.append(x.detach())
        return (self.scale * self.layers(x)).softmax(1)


def directions(net, x):
    """The displacements of x: the probe's, and that of the evaluated step."""
    probed, moved = net.seen[-2:]
    return (probed - x).flatten(1), (moved - x).flatten(1)


@pytest.mark.parametrize("shape", [(12,), (3, 2, 2)])
def test_the_step_has_the_length_of_the_radius_whatever_the_shape(shape):
    net, x = Net(), torch.randn(50, *shape)
    virtual_adversarial_loss(net, x, net(x), radius=0.3)
    probe, step = directions(net, x)
    assert torch.allclose(probe.norm(dim=1), torch.full((50,), PROBE), rtol=1e-4)
    assert torch.allclose(step.norm(dim=1), torch.full((50,), 0.3), rtol=1e-4)


def test_the_direction_is_worse_than_random_ones():
    net, x, radius = Net(), torch.randn(200, 12), 0.5
    y = net(x)
    adversarial = virtual_adversarial_loss(net, x, y, radius)
    for _ in range(20):
        step = torch.randn_like(x)
        assert adversarial > 1.3 * divergence(y, net(x + radius * step / step.norm(dim=1, keepdim=True)))


def test_the_loss_is_the_divergence_after_the_step():
    net, x = Net(), torch.randn(50, 12)
    y = net(x)
    loss = virtual_adversarial_loss(net, x, y, radius=0.5)
    _, step = directions(net, x)
    assert torch.allclose(loss, divergence(y, net(x + step)))


def test_a_row_moves_by_its_own_gradient():
    """The direction of a row does not depend on which rows it stands with."""
    net, x = Net(), torch.randn(10, 12)
    fixed = torch.randn(10, 12)
    steps = []
    for rows in (x, torch.cat([x, 100 * torch.randn(30, 12)])):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(torch, "randn_like", lambda it: torch.cat([fixed, torch.ones(len(it) - 10, 12)]))
            virtual_adversarial_loss(net, rows, net(rows), radius=1.0)
        steps.append(directions(net, rows)[1][:10])
    assert torch.allclose(*steps, atol=1e-4)


def test_nothing_is_learned_from_the_target_and_no_other_gradients_are_left():
    net, x = Net(), torch.randn(20, 12)
    y = net(x)
    loss = virtual_adversarial_loss(net, x, y, radius=0.5)
    assert all(it.grad is None for it in net.parameters())
    assert torch.autograd.grad(loss, y, allow_unused=True, retain_graph=True) == (None,)
    loss.backward()
    assert all(it.grad is not None for it in net.parameters())
    assert x.grad is None
    assert not x.requires_grad


@pytest.mark.parametrize("scale", [1.0, 10.0, 30.0, 60.0, 100.0, 1000.0])
def test_the_step_is_no_longer_than_the_radius_however_sure_the_classes_are(scale):
    """Their gradients shrink to 1e-38 and below; a square of that is 0."""
    net, x = Net(scale=scale), torch.randn(500, 12)
    loss = virtual_adversarial_loss(net, x, net(x), radius=0.5)
    _, step = directions(net, x)
    assert loss.isfinite()
    assert step.norm(dim=1).max() < 0.501


@pytest.mark.parametrize("size", [1e-18, 1e-22, 1e-30, 1e-37])
def test_directions_of_tiny_gradients_are_of_length_1_too(size):
    slope = torch.tensor([3.0, 4.0])

    def predict(x):
        p = 0.5 + size * (x @ slope)
        return torch.stack([p, 1 - p], dim=1)

    seen = []

    def watched(x):
        seen.append(x.detach())
        return predict(x)

    x = torch.zeros(1, 2)
    virtual_adversarial_loss(watched, x, torch.tensor([[0.9, 0.1]]), radius=1.0)
    assert torch.allclose(seen[-1], torch.tensor([[-0.6, -0.8]]), atol=1e-3)


def test_where_nothing_grows_nothing_moves():
    net, x = Net(scale=0.0), torch.randn(5, 12)
    loss = virtual_adversarial_loss(net, x, net(x), radius=0.5)
    assert loss.item() == 0
    assert torch.equal(directions(net, x)[1], torch.zeros(5, 12))


# Warps.


def blob(rows=200):
    """Images (N, 1, 16, 16) of one round spot in the middle."""
    grid = torch.stack(torch.meshgrid(*[torch.linspace(-1, 1, 16)] * 2, indexing="ij"))
    return (-8 * grid.square().sum(0)).exp().expand(rows, 1, 16, 16).clone()


def test_each_image_is_warped_a_little_and_in_its_own_way():
    x = blob()
    seen = warped(x)
    assert seen.shape == x.shape
    assert len(seen.flatten(1).unique(dim=0)) == len(x)
    assert (seen - x).abs().mean() < 0.1
    assert not seen.requires_grad


def test_the_middle_moves_by_no_more_than_the_shift():
    seen, steps = warped(blob()), torch.linspace(-1, 1, 16)
    weight = seen.sum((1, 2, 3))
    x = (seen.sum((1, 2)) * steps).sum(1) / weight
    y = (seen.sum((1, 3)) * steps).sum(1) / weight
    # Of 2, the width of the grid; what is far from the middle is moved by growth and turn, too.
    for center in (x, y):
        assert center.abs().max() < 2 * SHIFT * (1 + 2 * GROWTH) + 0.02
        assert center.abs().max() > SHIFT, "and by nearly that much, some of them"
        assert abs(center.mean()) < 4 * 2 * SHIFT / math.sqrt(3 * 200)


def test_a_plain_image_stays_as_it_is():
    """Beyond the border its values go on: no black edge gives a warp away."""
    assert torch.allclose(warped(torch.full((10, 3, 8, 8), 0.7)), torch.full((10, 3, 8, 8), 0.7))


def test_the_augmentation_loss_is_the_divergence_from_the_clean_prediction():
    net, x = Net(inputs=256), blob(20)
    y = net(x)
    loss = augmentation_loss(net, x, y)
    assert torch.allclose(loss, divergence(y, net.layers(net.seen[-1]).softmax(1)), atol=1e-7)
    assert torch.autograd.grad(loss, y, allow_unused=True, retain_graph=True) == (None,)
    loss.backward()
    assert all(it.grad is not None for it in net.parameters())


# All of them.


@pytest.mark.parametrize("weight", ["virtual_adversarial", "mutual_information", "augmentation"])
def test_a_term_is_there_where_it_has_a_weight(weight):
    net, x = Net(inputs=256), blob(20)
    terms = LabelFree(**{weight: 0.5})
    assert terms.used
    state = torch.get_rng_state()
    found = terms.losses(net, x, net(x))
    assert list(found) == [weight]
    torch.set_rng_state(state)
    [whole] = LabelFree(**{weight: 1.0}).losses(net, x, net(x)).values()
    assert torch.allclose(found[weight], 0.5 * whole)
    assert found[weight].requires_grad


def test_without_weights_nothing_is_computed():
    net, x = Net(), torch.randn(5, 12)
    assert not LabelFree().used
    assert LabelFree().losses(net, x, torch.ones(5, 4) / 4) == {}
    assert net.seen == []
