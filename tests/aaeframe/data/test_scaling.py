"""The scale of data sets: one test for each row of the table of `scaling.fit`, and for each value of the option."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.distributions import constraints

from aaeframe.data import from_arrays, load
from aaeframe.errors import ConfigError, DataError

RNG = np.random.default_rng(0)
ROWS = RNG.normal([5.0, -30.0, 0.5], [1.0, 20.0, 0.1], (200, 3))


def images(low, high, dtype):
    """Whole numbers (20, 1, 6, 5) from `low` to `high`. Both occur among the training rows."""
    x = np.random.default_rng(1).integers(low, high, (20, 1, 6, 5), endpoint=True)
    x[::2, 0, 0, 0], x[1::2, 0, 0, 1] = low, high
    x[:, 0, 0, 2], x[:, 0, 0, 3] = low, high
    return x.astype(dtype)


def scaled(data):
    """The training rows in the model's units, computed in float64."""
    spec = data.spec
    return (data.train.array().astype(np.float64) - spec.mean.double().numpy()) / spec.std.double().numpy()


def unit(data):
    """The values that become 0 and 1."""
    assert data.spec.support is constraints.unit_interval
    low = data.spec.mean.item()
    return low, low + data.spec.std.item()


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "int64", "int16", "uint16", "uint8", "bool"])
def test_tables_of_every_type_are_standardized_by_the_training_rows(dtype):
    x = RNG.normal([100, 60, 0.5], [1, 10, 1], (200, 3)).clip(0, 255).astype(dtype)
    data = from_arrays(x)
    train = x[data.train.index].astype(np.float64)
    assert data.spec.support is constraints.real
    std = train.std(0)
    np.testing.assert_allclose(data.spec.mean, train.mean(0), rtol=1e-6)
    np.testing.assert_allclose(data.spec.std, np.where(std > 0, std, 1), rtol=1e-6)
    assert data.reading.scale == "standardized by the training rows, a table"
    assert data.reading.dtype == dtype


@pytest.mark.parametrize("x", [RNG.random((20, 6, 5)), RNG.random((20, 6, 5)) > 0.5, images(0, 1, np.uint8)])
def test_images_within_zero_and_one_stay(x):
    data = from_arrays(x)
    assert unit(data) == (0, 1)
    assert data.reading.scale == "pixels within 0..1"
    assert data.train.dtype == (np.uint8 if x.dtype == np.uint8 else np.float32)


@pytest.mark.parametrize(
    ("x", "ends"),
    [
        (images(0, 255, np.uint8), (0, 255)),
        (images(3, 128, np.uint8), (0, 255)),
        (images(0, 65535, np.uint16), (0, 65535)),
        (images(100, 40000, np.uint16), (0, 65535)),
        (images(0, 32767, ">i2"), (0, 32767)),
        (images(-128, 127, np.int8), (-128, 127)),
    ],
)
def test_integers_that_reach_the_upper_half_of_their_type_have_its_range(x, ends):
    data = from_arrays(x)
    assert unit(data) == ends
    assert data.reading.scale == f"pixels within {ends[0]}..{ends[1]}, the range of {x.dtype.name}"


@pytest.mark.parametrize(
    ("x", "ends"),
    [
        (images(0, 16, np.uint8), (0, 16)),
        (images(2, 127, np.uint8), (2, 127)),
        (images(0, 4095, np.uint16), (0, 4095)),
        (images(-1000, 3000, np.int16), (-1000, 3000)),
        (images(0, 255, np.int64), (0, 255)),
        (images(7, 7, np.uint8), (7, 8)),
    ],
)
def test_other_integers_have_the_range_of_the_training_rows(x, ends):
    data = from_arrays(x)
    assert unit(data) == ends
    assert data.reading.scale == (
        f"pixels within {ends[0]}..{ends[1]}, the range of the training rows, which are in the lower half of "
        f"{x.dtype.name}; data.scale=pixels uses the range of the type"
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_whole_numbers_of_a_real_type_are_as_uint8(dtype):
    bright, dim = from_arrays(images(0, 255, dtype)), from_arrays(images(0, 16, dtype))
    assert (unit(bright), unit(dim)) == ((0, 255), (0, 16))
    assert bright.reading.scale == "pixels within 0..255, the range of uint8"
    assert "0..16, the range of the training rows" in dim.reading.scale
    np.testing.assert_array_equal(scaled(dim), scaled(from_arrays(images(0, 16, np.uint8))))


@pytest.mark.parametrize(
    ("x", "found"),
    [
        (images(0, 200, np.float64) + 0.5, "0.5..200.5"),
        (images(-1, 1, np.float64), "-1..1"),
        (images(0, 300, np.float32), "0..300"),
    ],
)
def test_other_images_are_standardized(x, found):
    data = from_arrays(x)
    assert data.spec.support is constraints.real
    assert data.spec.mean.shape == data.spec.std.shape == data.spec.shape == (1, 6, 5)
    assert data.reading.scale == f"standardized by the training rows, as the values are {found}"


def test_series_and_volumes_are_scaled_as_images():
    assert unit(from_arrays(images(0, 255, np.uint8)[:, 0], channels="first")) == (0, 255)
    assert unit(from_arrays(images(0, 16, np.uint8)[..., None, :], channels="first")) == (0, 16)


def test_only_training_rows_decide():
    x = images(0, 16, np.uint8)
    x[from_arrays(x).test.index[0], 0, 1, 1] = 200
    assert unit(from_arrays(x)) == (0, 16)
    x[from_arrays(x).train.index[-1], 0, 1, 1] = 200
    assert unit(from_arrays(x)) == (0, 255)


def test_the_scale_asked_for_by_name():
    bright = images(0, 16, np.uint8)
    assert unit(from_arrays(bright, scale="pixels")) == (0, 255)
    assert unit(from_arrays(images(0, 4095, np.uint16), scale="pixels")) == (0, 65535)
    assert unit(from_arrays(bright.astype(np.float64), scale="pixels")) == (0, 255)
    assert unit(from_arrays(RNG.random((20, 3)), scale="pixels")) == (0, 1)
    assert unit(from_arrays(bright.reshape(20, -1), scale="pixels")) == (0, 255)
    standardized = from_arrays(bright, scale="standardize")
    assert standardized.spec.support is constraints.real
    np.testing.assert_allclose(scaled(standardized).mean(0), 0, atol=1e-6)
    plain = from_arrays(ROWS, scale="none")
    assert plain.spec.support is constraints.real
    np.testing.assert_array_equal(scaled(plain), plain.train.array())
    assert [it.reading.scale for it in (standardized, plain)] == [
        "standardized by the training rows, as asked",
        "left as it is, as asked",
    ]
    assert from_arrays(bright, scale="pixels").reading.scale == "pixels within 0..255, as asked"


def test_the_scale_asked_for_by_its_ends():
    data = from_arrays(ROWS, scale=(-200, 300))
    assert unit(data) == (-200, 300)
    assert data.reading.scale == "-200..300 to 0..1, as asked"
    np.testing.assert_allclose(scaled(data), (data.train.array() + 200) / 500)
    assert unit(from_arrays(images(0, 255, np.uint8), scale=(0, 510))) == (0, 510)


@pytest.mark.parametrize(
    ("x", "scale", "message"),
    [
        (ROWS, "pixels", r"mine: data\.scale=pixels is for values within 0..255, found -.*data\.scale=\[low, high\]"),
        (
            images(0, 255, np.uint8),
            (0, 200),
            r"data\.scale=\[0, 200\] was asked for, but the training values are 0..255\.",
        ),
        (
            images(0, 16, np.uint8),
            (1, 200),
            r"data\.scale=\[1, 200\] was asked for, but the training values are 0..16\.",
        ),
        (images(-5, 16, np.int16), "pixels", r"within 0..32767, found -5..16"),
    ],
)
def test_a_scale_that_does_not_hold_the_training_rows_is_refused(x, scale, message):
    with pytest.raises(DataError, match=message):
        from_arrays(x, scale=scale, name="mine")


def test_the_range_asked_for_must_hold_all_pieces_of_uint8(monkeypatch):
    monkeypatch.setattr("aaeframe.data.statistics.PIECE_BYTES", 1)
    x = np.full((20, 6, 5), 150, np.uint8)
    x[from_arrays(x).train.index[-1]] = 250
    with pytest.raises(DataError, match=r"are 150\.\.250"):
        from_arrays(x, scale=(0, 200))


def test_ends_that_do_not_rise_are_refused():
    for ends in ((1, 1), (2, 1)):
        with pytest.raises(ConfigError, match="must be less than the second"):
            from_arrays(ROWS, scale=ends)
    with pytest.raises(ConfigError, match="scale"):
        from_arrays(ROWS, scale="minmax")


@pytest.mark.parametrize("value", [7.0, 0.1, -1e30, 1e6 / 3, 1.7e9, 0.0])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_constant_feature_has_std_one(value, dtype):
    x = np.stack([np.full(40, value), np.arange(40.0)], axis=1).astype(dtype)
    assert from_arrays(x).spec.std[0] == 1.0
    assert from_arrays(x).spec.std[1] > 1.0


def test_a_feature_that_is_constant_but_for_rounding_has_std_one():
    x = np.stack([np.where(np.arange(40) % 2, 0.1 + 0.2, 0.3), np.arange(40.0)], axis=1)
    assert from_arrays(x).spec.std[0] == 1.0


def same_in_every_form(folder, x):
    """Save whole numbers (N, D) as csv and as arrays of several types; they are in the same units when loaded."""
    np.savetxt(folder / "x.csv", x, fmt="%d", delimiter=",", header=",".join(f"c{i}" for i in range(x.shape[1])))
    for dtype in ("uint8", "int64", "float32", "float64"):
        np.save(folder / f"{dtype}.npy", x.astype(dtype))
    found = {path.name: scaled(load(path)) for path in folder.iterdir()}
    assert len(found) == 5
    for name, rows in found.items():
        np.testing.assert_allclose(rows, found["float64.npy"], rtol=1e-5, atol=1e-6, err_msg=name)
        assert 0.9 < rows.std() < 1.1


def test_a_table_of_whole_numbers_has_one_scale_in_every_form(tmp_path):
    same_in_every_form(tmp_path, np.random.default_rng(2).integers(1, 11, (60, 9)))


def test_breast_w_has_one_scale_in_every_form(tmp_path, real_data):
    path = Path(real_data) / "adbench" / "4_breastw.npz"
    if not path.is_file():
        pytest.skip(f"no {path}")
    same_in_every_form(tmp_path, np.load(path)["X"].astype(np.int64))


def test_parts_of_other_types_are_of_one_scale(tmp_path):
    np.savez(tmp_path / "x.npz", x_train=ROWS.astype(np.float32), x_test=ROWS)
    data = load(tmp_path / "x.npz")
    np.testing.assert_allclose(data.test.array(), ROWS)
    assert data.spec.mean.dtype == torch.float32
    np.savez(tmp_path / "y.npz", x_train=images(0, 60000, np.uint16), x_test=images(0, 60000, np.int32))
    assert unit(load(tmp_path / "y.npz")) == (0, 65535)


def test_images_of_integers_and_of_reals_are_not_of_one_scale(tmp_path):
    x = images(0, 60000, np.uint16)
    np.savez(tmp_path / "x.npz", x_train=x, x_test=x / 65535)
    with pytest.raises(DataError, match=r"the parts differ: rows of \(1, 6, 5\) uint16 and of \(1, 6, 5\) float64"):
        load(tmp_path / "x.npz")
