"""Results like those of benchmarks/results/README.md, by narrower networks and one seed; and training on real data."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

import aaeframe

pytestmark = pytest.mark.slow

needs_data = pytest.mark.skipif("AAEFRAME_DATA" not in os.environ, reason="no AAEFRAME_DATA")


def test_digits_lie_along_the_swiss_roll_with_default_settings(tmp_path):
    run = aaeframe.train("digits", prior="swissroll", encoder="universal", out=tmp_path / "run")

    report = run.evaluate(split="test")
    match, reconstruction = report["blocks"]["swissroll"], report["reconstruction"]

    assert match["sliced_wasserstein"] <= 2 * match["sliced_wasserstein_floor"]
    assert match["two_sample"] <= 0.65
    assert reconstruction["error"] <= 0.65 * reconstruction["mean_image_error"]
    # The codes carry the images: with another image's code the error is worse than with none.
    assert reconstruction["shuffled_error"] > reconstruction["mean_image_error"]


@needs_data
@pytest.mark.timeout(1800)  # a minute or two, more where the machine is busy
@pytest.mark.parametrize("prior", ["mixture", "swissroll"])
def test_mnist_codes_fall_into_their_class_when_labels_inform_the_prior(prior, tmp_path):
    narrow = "mlp(hidden=[300, 300])"  # a third of the preset's width takes a sixth of the time
    run = aaeframe.train(
        "mnist",
        preset=f"figure-4-{prior}",
        network=narrow,
        discriminator=narrow,
        epochs=6,
        out=tmp_path / "run",
    )

    classes = run.evaluate(split="validation")["blocks"][prior]["classes"]

    assert classes["prior_agreement"] > 0.95
    assert classes["agreement"] > 0.8  # 6 epochs; the whole preset reaches what benchmarks/results/README.md says


@needs_data
def test_svhn_trains_with_convolutions(tmp_path):
    digits = Path(os.environ["AAEFRAME_DATA"]) / "svhn10k" / "svhn_test_first10000_32x32.npz"

    run = aaeframe.train(digits, prior="gaussian(size=20)", network="conv", epochs=2, out=tmp_path / "run")

    rows = [json.loads(line) for line in run.folder.metrics.read_text().splitlines()]
    assert run.model.data_shape == (3, 32, 32)
    assert rows[-1]["validation/reconstruction"] < 0.9 * rows[-1]["mean_image_error"]
