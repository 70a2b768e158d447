from __future__ import annotations

import pytest
import torch

from aaeframe.recipes.corruption import Corruption
from aaeframe.seeds import stream

X = torch.linspace(0.5, 2.0, 200_000).reshape(1000, 2, 100)


@pytest.fixture(autouse=True)
def seeded():
    with stream(0, "corruption"):
        yield


def test_without_either_the_rows_are_as_they_were():
    state = torch.get_rng_state()
    assert Corruption()(X) is X
    assert torch.equal(torch.get_rng_state(), state), "and no number is drawn"


def test_noise_is_gaussian_of_its_standard_deviation():
    noise = Corruption(noise=0.3)(X) - X
    assert noise.mean().item() == pytest.approx(0, abs=0.005)
    assert noise.std().item() == pytest.approx(0.3, rel=0.01)
    assert (noise.abs() > 0.6).double().mean().item() == pytest.approx(0.0455, abs=0.003), "two standard deviations"


@pytest.mark.parametrize("chance", [0.2, 0.75])
def test_dropout_sets_values_to_0_and_rescales_the_others(chance):
    dropped = Corruption(dropout=chance)(X)
    gone = dropped == 0
    assert gone.double().mean().item() == pytest.approx(chance, abs=0.005)
    assert torch.allclose(dropped[~gone], X[~gone] / (1 - chance))
    assert dropped.mean().item() == pytest.approx(X.mean().item(), rel=0.02), "the same in the mean"


def test_noise_comes_after_dropout():
    corrupted = Corruption(noise=0.001, dropout=0.5)(X)
    gone = corrupted.abs() < 0.1
    assert gone.double().mean().item() == pytest.approx(0.5, abs=0.005)
    assert corrupted[gone].std().item() == pytest.approx(0.001, rel=0.05), "noise falls on what was dropped, too"


def test_the_rows_themselves_are_left_alone():
    before = X.clone()
    Corruption(noise=1.0, dropout=0.5)(X)
    assert torch.equal(X, before)
