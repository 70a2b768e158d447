"""The recipe conforms, and its discrepancy brings codes to the prior."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from aaeframe.testing import RecipeCase, conformance_cases
from aaeframe_wasserstein.recipe import Wasserstein, mmd


@pytest.mark.parametrize("check", conformance_cases("aaeframe-wasserstein", "wasserstein(mmd_weight=1.0)"))
def test_conformance(check):
    check()


def test_the_discrepancy_tells_distributions_apart():
    torch.manual_seed(0)
    a, b = torch.randn(2, 500, 3)
    assert abs(mmd(a, b)) < 0.02
    assert mmd(a + 1.0, b) > 0.2
    assert mmd(0.5 * a, b) > 0.05


def test_it_is_the_sum_over_pairs_of_different_rows():
    torch.manual_seed(0)
    z, p = torch.randn(2, 4, 2)
    spread = 2 * p.var(0).sum()

    def kernel(a, b):
        scales = [scale * spread for scale in (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)]
        return sum(c / (c + (a - b).square().sum()) for c in scales)

    pairs = [(i, j) for i in range(4) for j in range(4)]
    within = sum(kernel(z[i], z[j]) + kernel(p[i], p[j]) for i, j in pairs if i != j) / 12
    between = sum(kernel(z[i], p[j]) for i, j in pairs) / 16
    torch.testing.assert_close(mmd(z, p), within - 2 * between)


def trained(weight):
    """The discrepancy after 300 steps with this weight."""
    torch.manual_seed(0)
    case = RecipeCase(partial(Wasserstein, mmd_weight=weight))
    recipe = case.build()
    with torch.no_grad():
        recipe.model.encoder.loc["z"].bias.fill_(3.0)
    found = [recipe.step(case.batch(recipe))["mmd/z"].item() for _ in range(300)]
    return sum(found[-50:]) / 50


def test_with_weight_codes_come_to_the_prior():
    assert trained(weight=100.0) < 0.3 * trained(weight=0.0)
