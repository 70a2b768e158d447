"""Numbers far from zero keep their differences: they are centered in float64 before they become float32."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import aaeframe
from aaeframe.data import Split, from_arrays, load
from aaeframe.data.identity import identity
from aaeframe.evaluation.evaluate import train_mean
from aaeframe.evaluation.likelihood import Stored, estimate
from aaeframe.figures.gallery import _Pixels
from aaeframe.model.autoencoder import Autoencoder

NOW = 1_700_000_000
SECONDS = NOW + np.random.default_rng(0).permutation(100)
TABLE = np.stack([SECONDS, np.random.default_rng(1).normal(size=100)], axis=1)
SMALL = {"prior": "gaussian(size=2)", "network": "mlp(hidden=[8])", "discriminator": "mlp(hidden=[8])", "device": "cpu"}


def model_of(spec) -> Autoencoder:
    return Autoencoder(spec, torch.nn.Identity(), torch.nn.Identity(), torch.nn.Identity(), {}, {})


def check_differences(data, stored, scale=None):
    """The rows in the model's units differ as the stored ones do, to 1e-6 of the spread."""
    model, split = model_of(data.spec), data.train
    found = model.scale(torch.from_numpy(split.array()))
    assert found.dtype == torch.float32
    exact = stored[split.index].astype(np.float64)
    exact = exact - exact[0]
    width = exact.std(0) if scale is None else scale
    np.testing.assert_allclose((found - found[0]).numpy(), exact / width, atol=3e-6, rtol=1e-6)
    back = model.unscale(found).numpy()
    np.testing.assert_allclose(back, stored[split.index], rtol=1e-12, atol=1e-4)


@pytest.mark.parametrize("mapped", [False, True])
@pytest.mark.parametrize("dtype", [np.float64, np.int64, ">f8", np.uint64])
def test_unix_seconds_keep_their_differences(tmp_path, dtype, mapped):
    x = TABLE.astype(dtype)
    if np.dtype(dtype).kind != "f":
        x[:, 1] = np.arange(100)
    np.save(tmp_path / "x.npy", x)
    data = load(tmp_path / "x.npy") if mapped else from_arrays(x)
    assert data.train.is_mapped == mapped
    check_differences(data, x)


def test_unix_seconds_of_a_csv_keep_their_differences(tmp_path):
    np.savetxt(tmp_path / "x.csv", TABLE, fmt="%.6f", delimiter=",", header="time,value", comments="")
    check_differences(load(tmp_path / "x.csv"), np.round(TABLE, 6))


@pytest.mark.parametrize("dtype", [np.float64, np.int64])
def test_a_range_far_from_zero(dtype):
    x = TABLE[:, :1].astype(dtype)
    check_differences(from_arrays(x, scale=(NOW - 10, NOW + 190)), x, 200.0)


def test_integer_images_far_from_zero():
    x = (NOW + np.random.default_rng(0).integers(0, 50, (40, 6, 5))).astype(np.int64)
    data = from_arrays(x)
    assert f"within {NOW}..{NOW + 49}, the range of the training rows" in data.reading.scale
    check_differences(data, x[:, None], float(x[data.train.index].max() - x[data.train.index].min()))


def test_data_left_as_they_are_are_not_rounded_when_read():
    data = from_arrays(TABLE, scale="none")
    np.testing.assert_array_equal(data.train.array(), TABLE[data.train.index])


def test_pixels_of_float64_are_read_as_float32_from_a_file_and_from_memory(tmp_path):
    x = np.random.default_rng(0).random((20, 6, 5))
    np.save(tmp_path / "x.npy", x)
    mapped, held = load(tmp_path / "x.npy"), from_arrays(x)
    assert mapped.train.is_mapped
    assert mapped.train.dtype == held.train.dtype == np.float32
    np.testing.assert_array_equal(mapped.split("all").array(), held.split("all").array())
    assert mapped.split("all").dtype == np.float32
    assert identity(mapped)["digests"] == identity(held)["digests"]


def test_the_mean_row_keeps_its_precision():
    data = from_arrays(TABLE)
    np.testing.assert_allclose(train_mean(data.train)[0], SECONDS[data.train.index].mean(), rtol=1e-15)


def test_a_run_on_unix_seconds_is_that_on_seconds_from_zero(tmp_path):
    far, near = TABLE, TABLE - [NOW, 0]
    runs = {}
    for name, x in (("far", far), ("near", near)):
        np.save(tmp_path / f"{name}.npy", x)
        runs[name] = aaeframe.train(tmp_path / f"{name}.npy", epochs=2, keep=False, **SMALL), x
    (run, x), (other, y) = runs.values()
    np.testing.assert_allclose(run.encode(x)["gaussian"], other.encode(y)["gaussian"], atol=1e-5)
    back = run.reconstruct(x)
    assert back.dtype == torch.float64
    np.testing.assert_allclose(back - torch.tensor([NOW, 0]), other.reconstruct(y), atol=1e-3)
    mine, theirs = (it.evaluate()["reconstruction"] for it in (run, other))
    assert mine == pytest.approx(theirs, rel=1e-4)
    mine, theirs = (it.metrics[-1]["validation/reconstruction"] for it in (run, other))
    assert mine == pytest.approx(theirs, rel=1e-4)
    mine, theirs = (it.likelihood(samples=50)["log_likelihood"] for it in (run, other))
    assert mine == pytest.approx(theirs, abs=1e-3)


def test_the_likelihood_does_not_depend_on_an_offset():
    rng = np.random.default_rng(0)
    samples, test, validation = rng.normal(size=(300, 3)), rng.normal(size=(50, 3)), rng.normal(size=(60, 3))

    def at(offset):
        rows = Stored(Split(samples + offset))
        return estimate(torch.from_numpy(test + offset), rows, validation=torch.from_numpy(validation + offset))

    near, far = at(0.0), at(1e7)
    np.testing.assert_allclose(far.log_likelihood, near.log_likelihood, atol=1e-3)
    assert far.bandwidth == pytest.approx(near.bandwidth, rel=1e-6)


def test_pixels_of_float64_have_the_bandwidths_of_float32():
    rng = np.random.default_rng(0)
    samples, test, validation = (rng.random((count, 4)) for count in (300, 50, 60))
    found = [
        estimate(
            torch.from_numpy(test).to(dtype),
            Stored(Split(samples)),
            validation=torch.from_numpy(validation).to(dtype),
        )
        for dtype in (torch.float32, torch.float64)
    ]
    assert found[0].choice.bandwidths == found[1].choice.bandwidths
    np.testing.assert_allclose(found[0].log_likelihood, found[1].log_likelihood, atol=1e-3)


def test_the_likelihood_of_a_table_of_uint8_is_that_of_its_numbers():
    x = np.random.default_rng(0).integers(0, 200, (100, 3))
    found = [
        aaeframe.train(x.astype(dtype), epochs=1, keep=False, **SMALL).likelihood(
            from_arrays(x.astype(dtype)), samples=50
        )
        for dtype in (np.uint8, np.float32)
    ]
    assert found[0]["log_likelihood"] == pytest.approx(found[1]["log_likelihood"], abs=1e-3)
    assert found[0]["bandwidth"] == pytest.approx(found[1]["bandwidth"])


def test_pictures_of_images_far_from_zero_keep_their_contrast():
    x = NOW + np.random.default_rng(0).random((20, 6, 5)) * 10
    data = from_arrays(x)
    shown = _Pixels(model_of(data.spec), data, data.train)(torch.from_numpy(data.train.array()))
    low, high = data.train.array().min(), data.train.array().max()
    np.testing.assert_allclose(shown, (data.train.array() - low) / (high - low), atol=1e-5)
