from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.distributions import constraints

from aaeframe.data import from_arrays


@pytest.mark.parametrize("shape", [(20, 4), (20, 5, 5), (20, 5, 5, 3)], ids=["table", "gray", "color"])
def test_uint8_is_pixels_whatever_values_occur(shape):
    spec = from_arrays(np.ones(shape, np.uint8)).spec
    assert spec.support is constraints.unit_interval
    assert (spec.mean.item(), spec.std.item()) == (0.0, 255.0)


@pytest.mark.parametrize("x", [np.linspace(0, 1, 40), np.arange(40) % 2, np.arange(40) % 2 == 0])
def test_values_within_zero_and_one_stay(x):
    data = from_arrays(x.reshape(20, 2))
    assert data.spec.support is constraints.unit_interval
    assert (data.spec.mean.item(), data.spec.std.item()) == (0.0, 1.0)
    assert data.train.dtype == np.float32


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "int64", "int16", "uint16"])
def test_other_values_are_standardized_by_the_training_rows(dtype):
    x = (np.random.default_rng(0).standard_normal((200, 3)) * [1, 10, 100] + 400).astype(dtype)
    data = from_arrays(x)
    train = data.train.array().astype(np.float64)
    assert data.spec.support is constraints.real
    assert data.spec.mean.dtype == data.spec.std.dtype == torch.float32
    np.testing.assert_allclose(data.spec.mean, train.mean(0), rtol=1e-6)
    np.testing.assert_allclose(data.spec.std, train.std(0), rtol=1e-6)


def test_one_value_outside_anywhere_decides():
    x = np.full((20, 2), 0.5)
    x[from_arrays(x).test.index[0], 1] = 1.5
    assert from_arrays(x).spec.support is constraints.real


@pytest.mark.parametrize("value", [7.0, 0.1, -1e30, 1e6 / 3])
def test_a_constant_feature_has_std_one(value):
    x = np.stack([np.full(40, value), np.arange(40.0)], axis=1)
    assert from_arrays(x).spec.std[0] == 1.0
    assert from_arrays(x).spec.std[1] > 1.0


def test_images_that_are_no_pixels_have_moments_of_each_pixel():
    spec = from_arrays(np.random.default_rng(0).standard_normal((30, 6, 7))).spec
    assert spec.mean.shape == spec.std.shape == spec.shape == (1, 6, 7)
