from __future__ import annotations

import numpy as np
import pytest

from aaeframe_kernels import parzen_log_likelihood


@pytest.fixture
def files(tmp_path):
    """Normal rows in files: samples, test and validation; pixels; and rows of another shape."""
    import torch

    rng = np.random.default_rng(0)
    arrays = {name: 0.2 * rng.normal(size=(count, 4)) for name, count in [("s", 500), ("t", 30), ("v", 100)]}
    pixels, ramp = rng.integers(0, 256, (30, 6, 6)), np.linspace(-1, 1, 360).reshape(10, 6, 6)
    arrays |= {"pixels": pixels, "bytes": pixels, "tanh": ramp, "unit": ramp.clip(0), "wide": np.ones((5, 6))}
    for name, array in arrays.items():
        kind = np.uint8 if name == "pixels" else np.float32
        np.save(tmp_path / f"{name}.npy", array.astype(kind))
    torch.manual_seed(0)
    return tmp_path


def test_the_likelihood_of_test_rows_under_samples(done, files):
    out = done("parzen", "--samples", files / "s.npy", "--test", files / "t.npy", "--bandwidth", 0.1, "--json").json
    import torch

    samples, test = (torch.from_numpy(np.load(files / f"{name}.npy")) for name in "st")
    expected = parzen_log_likelihood(test, samples, 0.1, precision="float64")
    assert out["log_likelihood"] == pytest.approx(float(expected.mean()), abs=1e-3)
    assert out["standard_error"] == pytest.approx(float(expected.std()) / 30**0.5, rel=1e-3)
    assert (out["rows"], out["samples"], out["bandwidth"]) == (30, 500, 0.1)


def test_bytes_of_a_table_are_numbers(done, files):
    rows = np.random.default_rng(0).integers(0, 30, (40, 3))
    for kind in (np.uint8, np.float32):
        np.save(files / f"{kind.__name__}.npy", rows.astype(kind))
    found = [
        done("parzen", "--samples", files / samples, "--test", files / test, "--bandwidth", 2.0, "--json").json
        for samples in ("uint8.npy", "float32.npy")
        for test in ("uint8.npy", "float32.npy")
    ]
    assert [it["log_likelihood"] for it in found] == [pytest.approx(found[-1]["log_likelihood"], abs=1e-6)] * 4


def test_each_row_is_written(done, files):
    out = done(
        "parzen", "--samples", files / "s.npy", "--test", files / "t.npy", "--bandwidth", 0.1, "--json",
        "--out", files / "rows.npy",
    ).json  # fmt: skip
    rows = np.load(files / "rows.npy", allow_pickle=False)
    assert (rows.shape, rows.dtype) == ((30,), np.float64)
    assert rows.mean() == pytest.approx(out["log_likelihood"])


def test_validation_rows_choose_the_bandwidth(done, files):
    parts = ("parzen", "--samples", files / "s.npy", "--test", files / "t.npy", "--validation", files / "v.npy")
    out = done(*parts, "--json").json
    curve = dict(zip(out["bandwidths"], out["validation_log_likelihoods"], strict=True))
    assert out["bandwidth"] == max(curve, key=curve.get)
    given = done(*parts, "--bandwidth", 0.05, "--bandwidth", 0.1, "--json").json
    assert given["bandwidths"] == [0.05, 0.1]
    assert f"{out['log_likelihood']:.2f}" in done(*parts).out


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ([], ["found no bandwidths and no validation rows", "--validation FILE, or --bandwidth once"]),
        (["--bandwidth", 0.1, "--bandwidth", 0.2], ["found 2 bandwidths and no validation rows"]),
        (["--bandwidth", 0], ["--bandwidth is a standard deviation, positive and finite, found 0"]),
        (["--bandwidth", "nan"], ["--bandwidth is a standard deviation, positive and finite, found nan"]),
        (["--bandwidth", 0.1, "--test", "{tmp}/wide.npy"], ["all rows must have the same shape", "test has (6,)"]),
        (["--bandwidth", 0.1, "--test", "{tmp}/missing.npy"], ["missing.npy"]),
        (
            ["--bandwidth", 0.1, "--test", "{tmp}/pixels.npy", "--samples", "{tmp}/bytes.npy"],
            ["all rows must be in the same units", "samples from 0 to 25", "Bring samples to the scale of test"],
        ),
        (
            ["--bandwidth", 0.1, "--test", "{tmp}/pixels.npy", "--samples", "{tmp}/tanh.npy"],
            ["samples from -1 to 1", "Bring samples to the scale of test", "map [-1, 1] to [0, 1]"],
        ),
        (
            ["--bandwidth", 0.1, "--test", "{tmp}/unit.npy", "--samples", "{tmp}/bytes.npy"],
            ["test from 0 to 1", "Bring samples to the scale of test: divide pixels by 255"],
        ),
    ],
)
def test_bad_input_is_refused_in_words(cli, refused, files, arguments, parts):
    given = [str(it).format(tmp=files) for it in arguments]
    for flag, name in [("--samples", "s"), ("--test", "t")]:
        if flag not in given:
            given += [flag, str(files / f"{name}.npy")]
    refused(cli("parzen", *given), *parts)
