"""The bandwidth by cross-validation."""

from __future__ import annotations

import pytest
import torch

from aaeframe_kernels.parzen.bandwidth import choose_bandwidth, default_bandwidths, moved_grid, select_bandwidth
from aaeframe_kernels.parzen.state import ParzenState, parzen_log_likelihood


@pytest.fixture
def normal(generator):
    """Validation rows and samples of one normal distribution of deviation 0.5 in two dimensions."""
    return 0.5 * torch.randn(300, 2, generator=generator), 0.5 * torch.randn(500, 2, generator=generator)


def test_it_is_the_best_of_its_grid(normal):
    grid = [0.02, 0.1, 0.2, 0.4, 1.0]
    choice = select_bandwidth(*normal, grid)
    means = [float(parzen_log_likelihood(*normal, h).mean()) for h in grid]
    assert choice.mean_log_likelihoods == pytest.approx(means, abs=1e-4)
    assert choice.bandwidth == grid[means.index(max(means))]
    assert choice.edge is None
    assert choice.warning is None


@pytest.mark.parametrize(
    ("grid", "edge", "side"), [([0.5, 1.0], "least", "below"), ([0.01, 0.02], "greatest", "above")]
)
def test_a_best_value_at_the_edge_is_told(normal, grid, edge, side):
    choice = select_bandwidth(*normal, grid)
    assert choice.edge == edge
    assert side in choice.warning


def test_the_default_grid_moves_on_until_the_best_value_is_within(normal):
    validation, samples = normal
    choice = select_bandwidth(validation, samples.split(100))
    assert choice.edge is None
    wide = select_bandwidth(validation, samples, torch.logspace(-3, 1, 60).tolist())
    assert choice.bandwidth == pytest.approx(wide.bandwidth, rel=0.2)


def test_an_iterator_is_passed_over_once(pixels, samples):
    passes = []

    def stream():
        passes.append(1)
        yield from samples.split(100)

    choice = select_bandwidth(pixels, stream())
    assert passes == [1]
    assert len(choice.bandwidths) == 20


def test_the_default_grid_for_data_in_the_unit_interval(pixels):
    for x in (pixels, pixels / 255, pixels / 254 * 0.9):
        grid = default_bandwidths(x)
        assert (len(grid), grid[0], grid[-1]) == (20, pytest.approx(0.08), pytest.approx(0.08 * 2**1.9))


def test_the_default_grid_scales_with_other_data(generator):
    x = torch.randn(100, 4, generator=generator)
    assert default_bandwidths(10 * x) == pytest.approx([10 * h for h in default_bandwidths(x)], rel=1e-5)
    assert default_bandwidths(x + 5) == pytest.approx(default_bandwidths(x), rel=1e-5)


def test_a_moved_grid_has_the_edge_within_and_the_same_ratio(normal):
    choice = select_bandwidth(*normal, [0.5, 1.0, 2.0, 4.0])
    assert moved_grid(choice) == pytest.approx([0.125, 0.25, 0.5, 1.0])


def test_nan_chooses_nothing(pixels, samples):
    state = ParzenState(pixels / 255, [0.1, 0.2])
    state.update(torch.full_like(samples, float("nan")))
    with pytest.raises(ValueError, match="hold NaN"):
        choose_bandwidth(state)


def test_rows_with_nan_have_no_default_grid(generator):
    x = 5 * torch.randn(9, 4, generator=generator)
    x[2, 1] = float("nan")
    with pytest.raises(ValueError, match="x, which holds NaN; drop those rows, or give bandwidths"):
        default_bandwidths(x)
