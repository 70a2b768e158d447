from __future__ import annotations

import math

import pytest
import torch
from scipy.stats import wasserstein_distance
from torch.distributions import Independent, Normal, OneHotCategorical

from aaeframe.errors import DataError
from aaeframe.evaluation import classifier_two_sample, match, mmd, sliced_wasserstein

pytestmark = pytest.mark.judged


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed):
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64)


def roll(count, seed):
    """A swiss roll without thickness."""
    angle = 1.5 * math.pi * (1 + 2 * torch.rand(count, 1, generator=generator(seed), dtype=torch.float64))
    return torch.cat([angle * angle.cos(), angle * angle.sin()], dim=1)


def gaussian_like(rows, seed):
    """A Gaussian of the same mean and covariance."""
    factor = torch.linalg.cholesky(torch.cov(rows.T))
    return normal(len(rows), rows.shape[1], seed=seed) @ factor.T + rows.mean(0)


@pytest.mark.parametrize("sizes", [(40, 40), (40, 25), (7, 60)], ids=str)
def test_one_dimensional_distance_is_that_of_scipy(sizes):
    a, b = normal(sizes[0], 1, seed=1), 2 * normal(sizes[1], 1, seed=2) + 1
    expected = wasserstein_distance(a.squeeze(1).numpy(), b.squeeze(1).numpy())
    assert sliced_wasserstein(a, b, projections=3, generator=generator()) == pytest.approx(expected)


@pytest.mark.parametrize("size", [2, 8])
def test_a_shift_is_measured_by_its_mean_projection(size):
    a = normal(50, size, seed=1)
    shift = torch.zeros(size, dtype=torch.float64)
    shift[0] = 3
    # E|u_1| of a unit vector uniform on the sphere.
    mean = math.exp(math.lgamma(size / 2) - math.lgamma((size + 1) / 2)) / math.sqrt(math.pi)
    distance = sliced_wasserstein(a, a + shift, projections=20_000, generator=generator())
    assert distance == pytest.approx(3 * mean, rel=0.02)


def test_distance_of_a_set_to_its_shuffled_self_is_zero():
    a = normal(30, 4, seed=1)
    assert sliced_wasserstein(a, a.flip(0), generator=generator()) == pytest.approx(0, abs=1e-12)


def test_mmd_is_the_defining_sum():
    a, b = normal(9, 3, seed=1), normal(12, 3, seed=2) + 0.5
    bandwidth = torch.pdist(torch.cat([a, b])).median()
    scales = bandwidth * torch.tensor([0.25, 0.5, 1, 2, 4], dtype=torch.float64)

    def k(x, y):
        return torch.exp(-(x - y).square().sum() / (2 * scales**2)).sum()

    within_a = sum(k(x, y) for i, x in enumerate(a) for j, y in enumerate(a) if i != j) / (9 * 8)
    within_b = sum(k(x, y) for i, x in enumerate(b) for j, y in enumerate(b) if i != j) / (12 * 11)
    between = sum(k(x, y) for x in a for y in b) / (9 * 12)
    assert mmd(a, b) == pytest.approx(float(within_a + within_b - 2 * between), rel=1e-6)


def test_mmd_is_unbiased_and_sees_a_shift():
    values = [mmd(normal(60, 2, seed=s), normal(60, 2, seed=1000 + s)) for s in range(60)]
    mean, spread = torch.tensor(values).mean(), torch.tensor(values).std()
    assert abs(mean) < 3 * spread / math.sqrt(60)
    assert min(values) < 0 < max(values)
    assert mmd(normal(60, 2, seed=1), normal(60, 2, seed=2) + 1) > 10 * spread


def test_mmd_of_one_repeated_point_is_zero():
    point = torch.ones(5, 3)
    assert mmd(point, point) == 0


def test_a_larger_set_is_cut_to_rows_from_all_of_it():
    values = torch.arange(9_000.0).unsqueeze(1)
    assert mmd(values, values.flip(0)) == pytest.approx(0, abs=5e-3)


def test_classifier_tells_a_roll_from_a_gaussian_of_the_same_moments():
    a = roll(360, seed=1)
    result = classifier_two_sample(a, gaussian_like(a, seed=2), generator=generator())
    assert result.accuracy > 0.8
    assert result.standard_error == pytest.approx(math.sqrt(result.accuracy * (1 - result.accuracy) / 720), rel=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_classifier_is_at_chance_on_two_sets_of_one_distribution(seed):
    result = classifier_two_sample(roll(360, seed=10 + seed), roll(360, seed=20 + seed), generator=generator())
    assert abs(result.accuracy - 0.5) <= 3 * result.standard_error


def test_classifier_sets_of_unlike_size_are_balanced():
    result = classifier_two_sample(normal(800, 2, seed=1), normal(200, 2, seed=2), generator=generator())
    assert abs(result.accuracy - 0.5) <= 3 * result.standard_error
    assert result.standard_error == pytest.approx(0.025, rel=0.05)


@pytest.fixture
def few_steps(monkeypatch):
    """A classifier trained briefly, for tests in which its power is no matter."""
    monkeypatch.setattr("aaeframe.evaluation.two_sample.STEPS", 20)


@pytest.mark.usefixtures("few_steps")
def test_classifier_depends_on_its_generator_alone_and_works_without_gradients():
    a, b = normal(60, 2, seed=1), normal(60, 2, seed=2) + 0.5
    before = torch.get_rng_state()
    first = classifier_two_sample(a, b, generator=generator())
    torch.rand(1)
    with torch.inference_mode():
        second = classifier_two_sample(a.clone(), b.clone(), generator=generator())
    assert first == second
    assert first != classifier_two_sample(a, b, generator=generator(7))
    torch.set_rng_state(before)
    classifier_two_sample(a, b, generator=generator())
    assert torch.equal(torch.get_rng_state(), before)


def test_constant_columns_do_no_harm():
    a = torch.cat([normal(100, 1, seed=1), torch.ones(100, 1, dtype=torch.float64)], dim=1)
    b = a + torch.tensor([6.0, 0.0])
    assert classifier_two_sample(a, b, generator=generator()).accuracy > 0.95


PRIOR = Independent(Normal(torch.zeros(2), 1.0), 1)


@pytest.fixture(scope="module")
def good():
    return match(normal(300, 2, seed=1).float(), PRIOR, seed=3)


@pytest.fixture(scope="module")
def bad():
    return match(1.6 * normal(300, 2, seed=1).float() + 1, PRIOR, seed=3)


def test_codes_that_follow_the_prior_are_at_the_floor(good):
    assert good.rows == 300
    assert good.sliced_wasserstein < 1.5 * good.sliced_wasserstein_floor
    assert abs(good.mmd) < 0.05
    assert abs(good.two_sample - 0.5) <= 3 * good.two_sample_standard_error
    assert good.entropy is None
    assert good.prior_entropy is None


def test_without_the_classifier_all_else_is_measured(good):
    assert good.tested
    untested = match(normal(300, 2, seed=1).float(), PRIOR, seed=3, two_sample=False)
    absent = dict.fromkeys(key for key in good.as_dict() if key.startswith("two_sample"))
    assert untested.as_dict() == {**good.as_dict(), **absent, "tested": False}


def test_codes_that_do_not_are_above_it(good, bad):
    assert bad.sliced_wasserstein > 4 * bad.sliced_wasserstein_floor
    assert bad.mmd > 20 * abs(bad.mmd_floor)
    assert bad.two_sample > 0.7
    assert bad.sliced_wasserstein_floor == good.sliced_wasserstein_floor


@pytest.mark.usefixtures("few_steps")
def test_match_is_reproducible_and_leaves_no_trace():
    codes = normal(40, 2, seed=1)
    before = torch.get_rng_state()
    first = match(codes, PRIOR, seed=3, draws=3)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(5)
    assert match(codes, PRIOR, seed=3, draws=3) == first
    assert match(codes, PRIOR, seed=4, draws=3) != first


def test_a_one_hot_block_reports_how_evenly_its_categories_are_used():
    prior = OneHotCategorical(logits=torch.zeros(4))
    codes = torch.eye(4)[torch.arange(200) % 2]
    found = match(codes, prior, seed=0, draws=3).as_dict()
    assert found["entropy"] == pytest.approx(math.log(2))
    assert found["prior_entropy"] == pytest.approx(math.log(4), abs=0.02)
    assert found["uniform_entropy"] == math.log(4)
    assert found["two_sample"] > 0.7


def test_a_prior_that_is_not_uniform_has_less_entropy_than_a_uniform_one():
    prior = OneHotCategorical(probs=torch.tensor([0.7, 0.1, 0.1, 0.1]))
    found = match(torch.eye(4)[torch.arange(200) % 4], prior, seed=0, draws=3).as_dict()
    assert found["prior_entropy"] < found["uniform_entropy"] - 0.3


@pytest.mark.usefixtures("few_steps")
@pytest.mark.parametrize(
    ("rows", "absent"), [(1, {"mmd", "two_sample"}), (2, {"two_sample"}), (4, {"two_sample"}), (5, set())]
)
def test_a_measure_of_too_few_rows_is_absent(rows, absent):
    found = match(normal(rows, 2, seed=1), PRIOR, seed=0, draws=2).as_dict()
    assert found["rows"] == rows
    assert found["sliced_wasserstein"] > 0
    for name in ("mmd", "mmd_floor"):
        assert (found[name] is None) == ("mmd" in absent)
    for name in ("", "_floor", "_standard_error", "_floor_standard_error"):
        assert (found[f"two_sample{name}"] is None) == ("two_sample" in absent)


def test_broken_codes_are_refused_in_words():
    codes = normal(40, 2, seed=1)
    codes[7, 1] = math.nan
    with pytest.raises(DataError, match=r"codes: 1 of 40 rows .* row 7"):
        match(codes, PRIOR, seed=0)
    with pytest.raises(DataError, match=r"of shape \(2,\), found codes of shape \(40, 3\)"):
        match(normal(40, 3, seed=1), PRIOR, seed=0)
    with pytest.raises(DataError, match="5 folds need 5 rows"):
        classifier_two_sample(normal(4, 2, seed=1), normal(9, 2, seed=2), generator=generator())
    with pytest.raises(DataError, match="found 2 and 3 numbers a row"):
        mmd(normal(4, 2, seed=1), normal(4, 3, seed=1))
    with pytest.raises(DataError, match="two rows of each set"):
        mmd(normal(1, 2, seed=1), normal(4, 2, seed=1))
    with pytest.raises(DataError, match=r"rows are needed, found a tensor of shape \(0, 2\)"):
        mmd(normal(0, 2, seed=1), normal(4, 2, seed=1))
