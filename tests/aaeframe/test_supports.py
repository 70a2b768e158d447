from __future__ import annotations

import pytest
import torch
from torch import distributions as D
from torch.distributions import constraints

from aaeframe import supports
from aaeframe.errors import ConfigError, PluginError
from aaeframe.supports import Support, is_one_hot, relaxation, resolve

MIXTURE = D.MixtureSameFamily(
    D.Categorical(torch.ones(2)),
    D.Independent(D.Uniform(torch.tensor([[0.0], [2.0]]), torch.tensor([[1.0], [5.0]])), 1),
)
SCALARS = D.MixtureSameFamily(
    D.Categorical(torch.ones(3)), D.Uniform(torch.tensor([0.0, 2.0, 4.0]), torch.tensor([1.0, 3.0, 5.0]))
)


def codes(constraint, event_shape, rows=200):
    """Codes of a head that puts out numbers of any usual size."""
    support = resolve(constraint, torch.Size(event_shape))
    raw = 3 * torch.randn(rows, *support.head_shape, generator=torch.Generator().manual_seed(0))
    return support, support.transform(raw)


@pytest.mark.parametrize(
    ("constraint", "event_shape", "head_shape"),
    [
        (constraints.real, (3,), (3,)),
        (constraints.real_vector, (3,), (3,)),
        (constraints.one_hot, (4,), (4,)),
        (constraints.simplex, (4,), (4,)),
        (constraints.unit_interval, (2,), (2,)),
        (constraints.interval(-1.0, torch.tensor([1.0, 3.0])), (2,), (2,)),
        (constraints.independent(constraints.interval(-2.0, 2.0), 1), (2,), (2,)),
        (constraints.positive, (2, 3), (2, 3)),
        (constraints.greater_than(torch.tensor([5.0])), (1,), (1,)),
        (constraints.lower_cholesky, (3, 3), (3, 3)),
        (constraints.corr_cholesky, (3, 3), (3,)),
        (MIXTURE.support, (1,), (1,)),
        (constraints.independent(MIXTURE.support, 0), (1,), (1,)),
        (SCALARS.support, (), ()),
        (D.Independent(SCALARS.expand((1,)), 1).support, (1,), (1,)),
        (D.Independent(SCALARS.expand((2, 4)), 2).support, (2, 4), (2, 4)),
    ],
    ids=repr,
)
def test_codes_have_the_event_shape_and_lie_in_the_relaxation(constraint, event_shape, head_shape):
    support, z = codes(constraint, event_shape)
    assert support.head_shape == head_shape
    assert z.shape == (200, *event_shape)
    assert support.relaxation.check(z).all()


def test_real_codes_are_what_the_head_puts_out():
    raw = torch.randn(5, 2)
    assert resolve(constraints.real_vector, torch.Size([2])).transform(raw) is raw


def test_one_hot_vectors_are_the_corners_of_what_is_reached():
    support, _ = codes(constraints.one_hot, (3,))
    assert support.relaxation is constraints.simplex
    assert relaxation(D.OneHotCategorical(torch.ones(3)).support, torch.Size([3])) is constraints.simplex
    torch.testing.assert_close(support.transform(100 * torch.eye(3)), torch.eye(3))


def test_only_a_block_of_one_hot_vectors_is_a_class_block():
    assert is_one_hot(D.OneHotCategorical(torch.ones(3)).support)
    assert is_one_hot(constraints.independent(constraints.one_hot, 0))
    assert not is_one_hot(D.Dirichlet(torch.ones(3)).support)
    assert not is_one_hot(D.MultivariateNormal(torch.zeros(2), torch.eye(2)).support)


@pytest.mark.parametrize("mixture", [MIXTURE, D.Independent(SCALARS.expand((1,)), 1)], ids=["vectors", "scalars"])
def test_a_mixture_reaches_the_outermost_bounds_of_its_components(mixture):
    _, z = codes(mixture.support, (1,), rows=1000)
    assert z.min() < 0.5
    assert z.max() > 4.5
    assert relaxation(mixture.support, torch.Size([1])).check(mixture.sample((1000,))).all()


@pytest.mark.parametrize("constraint", [constraints.one_hot, constraints.simplex, constraints.unit_interval], ids=repr)
def test_half_precision_heads_land_on_the_support_too(constraint):
    support = resolve(constraint, torch.Size([5]))
    z = support.transform(torch.randn(100, 5, dtype=torch.bfloat16))
    assert z.dtype == torch.float32
    assert support.relaxation.check(z).all()


def test_bounds_follow_the_code_to_its_device_and_type():
    bounds = constraints.interval(torch.zeros(2, dtype=torch.float64), torch.ones(2, dtype=torch.float64))
    transform = resolve(bounds, torch.Size([2])).transform
    assert transform(torch.zeros(3, 2)).dtype == torch.float32
    # The meta device stands for any device that does not mix with the CPU.
    assert transform(torch.zeros(3, 2, device="meta")).device.type == "meta"


@pytest.mark.parametrize(
    "constraint",
    [constraints.real, constraints.positive, constraints.interval(torch.tensor([-1.0, 2.0]), torch.tensor([1.0, 5.0]))],
    ids=repr,
)
def test_densities_follow_a_bijection(constraint):
    transform = resolve(constraint, torch.Size([2])).transform
    normal = D.Normal(torch.tensor([0.5, -1.0]), torch.tensor([1.0, 0.25]))
    ours = D.Independent(D.TransformedDistribution(normal, [transform]), 1)
    theirs = D.Independent(D.TransformedDistribution(normal, [D.transform_to(constraint)]), 1)
    z = ours.sample((50,))
    assert constraint.check(z).all()
    torch.testing.assert_close(ours.log_prob(z), theirs.log_prob(z))


def test_gradients_pass():
    for constraint in (constraints.one_hot, constraints.unit_interval, constraints.positive):
        raw = torch.randn(4, 3, requires_grad=True)
        resolve(constraint, torch.Size([3])).transform(raw)[:, 0].sum().backward()
        assert raw.grad is not None
        assert raw.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("constraint", "reason"),
    [
        (constraints.boolean, "it is discrete"),
        (constraints.nonnegative_integer, "it is discrete"),
        (constraints.independent(constraints.boolean, 1), "it is discrete"),
        (constraints.multinomial(3), "it is discrete"),
        (constraints.square, "transform_to does not know it"),
        (constraints.dependent, "transform_to does not know it"),
        (constraints.corr_cholesky, r"it does not fit samples of shape \(2,\)"),
    ],
    ids=repr,
)
def test_a_support_without_a_rule_names_the_way_to_add_one(constraint, reason):
    with pytest.raises(ConfigError, match=reason) as caught:
        resolve(constraint, torch.Size([2]))
    assert "aaeframe.supports.register(" in str(caught.value)


class Sphere(constraints.Constraint):
    event_dim = 1

    def check(self, value):
        return (value.norm(dim=-1) - 1).abs() < 1e-5


def test_a_constraint_of_torch_without_a_rule_is_to_be_derived():
    with pytest.raises(ConfigError, match=r"derive class Mine\(_\w+\), and add it with .*register\(Mine"):
        supports.resolve(constraints.nonnegative_integer, torch.Size([2]))


@pytest.mark.parametrize("owned", [type(constraints.real), type(constraints.one_hot), constraints.Constraint])
def test_a_rule_for_the_constraint_of_others_is_refused(owned):
    before = dict(supports._rules)
    with pytest.raises(PluginError, match=r"registers a rule for _?\w+ of torch, .*derive a constraint"):
        supports.register(owned, lambda constraint, event_shape: None)
    assert supports._rules == before


def test_a_registered_rule_counts_and_the_last_word_wins(monkeypatch):
    monkeypatch.setattr(supports, "_rules", dict(supports._rules))
    with pytest.raises(ConfigError, match=r"register\(Sphere, "):
        resolve(Sphere(), torch.Size([3]))
    for scale in (2.0, 1.0):
        supports.register(
            Sphere,
            lambda constraint, shape, scale=scale: Support(
                shape, lambda raw: scale * raw / raw.norm(dim=-1, keepdim=True), constraint
            ),
        )
    support, z = codes(constraints.independent(Sphere(), 0), (3,))
    assert support.relaxation.check(z).all()


class Circle(constraints.Constraint):
    """One of your own, with torch's repr, which cuts the first letter."""


class Bounded(Circle):
    def __repr__(self):
        return "Bounded(3)"


@pytest.mark.parametrize(
    ("constraint", "words"),
    [
        (Circle(), "Circle"),
        (Bounded(), "Bounded(3)"),
        (constraints.independent(Circle(), 1), "IndependentConstraint(Circle, 1)"),
        (constraints.simplex, "Simplex()"),
        (constraints.greater_than(2), "GreaterThan(lower_bound=2)"),
    ],
)
def test_a_support_is_called_by_its_whole_name(constraint, words):
    assert supports.described(constraint) == words


def test_the_error_for_a_support_of_your_own_has_its_name():
    with pytest.raises(ConfigError, match="maps into the support Circle: "):
        resolve(Circle(), torch.Size([2]))
