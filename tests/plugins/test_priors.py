"""The shapes of the first-party priors."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from torch.distributions import Categorical, Independent, MixtureSameFamily, MultivariateNormal, Normal

from aaeframe.testing import checks_for
from aaeframe_plugins.priors.categorical import categorical
from aaeframe_plugins.priors.gaussian import gaussian
from aaeframe_plugins.priors.mixture import Mixture
from aaeframe_plugins.priors.swissroll import SwissRoll

MANY = torch.Size([20_000])


@pytest.fixture(autouse=True)
def _seeded():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def test_gaussian_has_the_size_and_scale_asked_for():
    prior = gaussian(size=3, scale=5.0)

    z = prior.sample(MANY)

    assert prior.event_shape == (3,)
    torch.testing.assert_close(z.std(0), torch.full((3,), 5.0), atol=0.15, rtol=0)  # 6 standard errors


def test_categorical_is_uniform_over_one_hot_vectors():
    y = categorical(classes=4).sample(MANY)

    assert set(y.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(y.sum(1), torch.ones(len(y)))
    torch.testing.assert_close(y.mean(0), torch.full((4,), 0.25), atol=0.02, rtol=0)  # 6 standard errors


def test_categorical_has_the_shares_asked_for():
    y = categorical(classes=3, probs=(5.0, 3.0, 2.0)).sample(MANY)

    assert torch.equal(y.sum(1), torch.ones(len(y)))
    torch.testing.assert_close(y.mean(0), torch.tensor([0.5, 0.3, 0.2]), atol=0.025, rtol=0)  # 7 standard errors


def test_categorical_needs_a_share_for_each_class():
    with pytest.raises(ValueError, match="probs has 3 numbers for 10 classes"):
        categorical(probs=(5.0, 3.0, 2.0))


def test_a_categorical_that_follows_begins_as_asked_and_goes_towards_the_mean_code():
    y = categorical(classes=3, probs=(2.0, 1.0, 1.0), follow=0.25)
    assert torch.equal(y.probs, torch.tensor([0.5, 0.25, 0.25]))
    y.follow(torch.tensor([[0.9, 0.1, 0.0], [0.3, 0.1, 0.6]]))
    expected = torch.tensor([0.525, 0.2125, 0.2625])
    torch.testing.assert_close(y.probs, expected)
    torch.testing.assert_close(y.sample(MANY).mean(0), expected, atol=0.025, rtol=0)  # 7 standard errors
    torch.testing.assert_close(y.log_prob(torch.eye(3)), expected.log())


def test_a_categorical_that_follows_ends_at_the_frequencies_of_the_codes():
    y, frequencies = categorical(classes=3, follow=0.01), torch.tensor([0.6, 0.3, 0.1])
    for _ in range(1000):
        y.follow(frequencies.expand(50, 3))
    torch.testing.assert_close(y.probs, frequencies, atol=1e-4, rtol=0)


def test_a_categorical_follows_none_of_the_first_minibatches():
    y, codes = categorical(classes=2, follow=0.5, follow_after=2), torch.tensor([[1.0, 0.0]])
    shares = []
    for _ in range(4):
        y.follow(codes)
        shares.append(y.probs[0].item())
    assert shares == [0.5, 0.5, 0.75, 0.875]


def test_a_categorical_that_waits_goes_on_from_its_state():
    codes = torch.tensor([[1.0, 0.0]])
    first, second = (categorical(classes=2, follow=0.5, follow_after=2) for _ in range(2))
    first.follow(codes)
    second.load_state_dict(first.state_dict())
    for _ in range(2):
        second.follow(codes)
    assert second.probs[0].item() == 0.75


def test_a_categorical_changes_where_it_is():
    """A captured step finds it there again."""
    y = categorical(classes=2, follow=0.5)
    places = [it.data_ptr() for it in (y.probs, y.seen)]
    y.follow(torch.tensor([[1.0, 0.0]]))
    assert [it.data_ptr() for it in (y.probs, y.seen)] == places


def test_a_categorical_that_does_not_follow_has_no_beginning_of_it():
    with pytest.raises(ValueError, match="follow_after needs follow"):
        categorical(follow_after=100)


@pytest.mark.parametrize("check", [check for _, check in checks_for("prior", partial(categorical, follow=0.1))])
def test_a_categorical_that_follows_conforms(check):
    check()


def test_petals_lie_on_a_circle_and_point_outwards():
    prior = Mixture(components=5, radius=2.0, radial_scale=0.4, tangential_scale=0.1)

    z, labels = prior.sample_labeled(MANY)

    assert prior.num_classes == 5
    for k in range(5):
        angle = 2 * math.pi * k / 5
        outwards = torch.tensor([math.cos(angle), math.sin(angle)])
        across = torch.tensor([-math.sin(angle), math.cos(angle)])
        petal = z[labels == k]
        torch.testing.assert_close(petal.mean(0), 2.0 * outwards, atol=0.04, rtol=0)
        torch.testing.assert_close((petal @ outwards).std(), torch.tensor(0.4), atol=0.03, rtol=0)
        torch.testing.assert_close((petal @ across).std(), torch.tensor(0.1), atol=0.01, rtol=0)


def test_petals_have_the_density_of_their_covariance():
    angle = torch.arange(10, dtype=torch.double) * (2 * math.pi / 10)
    along, across = torch.stack([angle.cos(), angle.sin()], -1), torch.stack([-angle.sin(), angle.cos()], -1)
    axes = torch.stack([0.5 * along, 0.1 * across], dim=-1)
    theirs = MixtureSameFamily(Categorical(torch.ones(10)), MultivariateNormal(1.4 * along, axes @ axes.mT))
    z = torch.randn(100, 2)

    torch.testing.assert_close(Mixture().log_prob(z), theirs.log_prob(z.double()).float())


@pytest.mark.parametrize("thin", [3e-5, 1e-7, 1e-12])
def test_petals_may_be_thin(thin):
    prior = Mixture(radius=0.0, tangential_scale=thin)
    factor = prior.scale_tril

    assert bool(prior.log_prob(prior.sample(MANY)).isfinite().all())
    area = factor[:, 0, 0] * factor[:, 1, 1]  # the product of the scales, whatever the direction
    torch.testing.assert_close(area, torch.full((10,), 0.5 * thin))


def test_mixture_has_ten_petals_by_default():
    assert Mixture().num_classes == 10
    assert Mixture().event_shape == (2,)


def test_mixture_of_given_means_and_scales_has_the_density_of_torchs_mixture():
    means, scales = [[0.0, 1.0, 2.0], [3.0, -1.0, 0.0]], [[1.0, 0.5, 2.0], [0.3, 1.0, 1.0]]
    theirs = MixtureSameFamily(
        Categorical(torch.ones(2)), Independent(Normal(torch.tensor(means), torch.tensor(scales)), 1)
    )
    z = 3 * torch.randn(100, 3)

    ours = Mixture(means=means, scales=scales)

    assert ours.event_shape == (3,)
    torch.testing.assert_close(ours.log_prob(z), theirs.log_prob(z))


def test_one_row_of_scales_serves_all_means():
    one = Mixture(means=[[0.0, 0.0], [4.0, 0.0]], scales=[[0.5, 2.0]])
    each = Mixture(means=[[0.0, 0.0], [4.0, 0.0]], scales=[[0.5, 2.0], [0.5, 2.0]])
    z = torch.randn(10, 2)

    assert torch.equal(one.log_prob(z), each.log_prob(z))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scales": [[1.0, 1.0]]}, "scales belong to means"),
        ({"means": [[0.0], [1.0]], "radius": 2.0}, "shape petals; with means use scales"),
        ({"means": [[0.0], [1.0, 2.0]]}, "rows of one length"),
        ({"means": [[0.0], [1.0]], "components": 3}, "components is 3, but means has 2 rows"),
        ({"means": [[0.0], [1.0]], "scales": [[1.0], [1.0], [1.0]]}, "1 or 2 rows of 1 numbers"),
        ({"means": [[0.0], [1.0]], "scales": [[0.0]]}, "must be positive"),
    ],
)
def test_mixture_refuses_options_that_do_not_fit(options, message):
    with pytest.raises(ValueError, match=message):
        Mixture(**options)


def test_swiss_roll_winds_outwards_class_by_class():
    prior = SwissRoll(classes=4, turns=1.5, radius=2.0, thickness=0.0)

    z, labels = prior.sample_labeled(MANY)

    radius = z.norm(dim=1)
    share = (radius / 2.0).square()  # u: uniform, and class k is its k-th quarter
    assert bool((share * 4 >= labels - 1e-4).all())
    assert bool((share * 4 <= labels + 1 + 1e-4).all())
    angle = torch.atan2(z[:, 1], z[:, 0])
    turned = (2 * math.pi * 1.5 * radius / 2.0 - angle) / (2 * math.pi)
    torch.testing.assert_close(turned, turned.round(), atol=1e-4, rtol=0)


def test_swiss_roll_thickness_is_along_the_radius():
    thick, thin = SwissRoll(thickness=0.2), SwissRoll(thickness=0.0)

    off = torch.cdist(thick.sample(torch.Size([2000])), thin.sample(torch.Size([20_000]))).amin(1)

    # The distance to the curve is about |N(0, 0.2)|, whose mean is 0.16; a little less where the roll is steep.
    assert 0.12 < off.mean() < 0.17
