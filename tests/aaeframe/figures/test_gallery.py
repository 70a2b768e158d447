"""The inputs of a run's figures: rows of all classes, unchanged images, no use of global random numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

import aaeframe
from aaeframe.data import from_arrays
from aaeframe.figures import gallery, plane

SMALL = {"network": "mlp(hidden=[8])", "discriminator": "mlp(hidden=[8])", "epochs": 1, "device": "cpu"}
LABELS = np.repeat(np.arange(3), 100)
WAVES = np.random.default_rng(0).normal(1000.0 * (1 + LABELS[:, None, None, None]), 1.0, (300, 1, 6, 6))
WAVES[:, :, 3:] *= 0.1  # the lower half is dark in every image


@pytest.fixture
def drawn(monkeypatch, tmp_path):
    """Draws the figures of a run on these images, sorted by class, and returns what each was drawn of."""

    def draw(images, **options):
        seen = {}

        def keep(name):
            def figure(*arguments, **options):
                seen[name] = arguments
                return Figure()

            return figure

        for name in ("codes_by_class", "reconstructions", "samples", "decoded_plane"):
            monkeypatch.setattr(gallery, name, keep(name))
        data = from_arrays(images, LABELS, **options)
        run = aaeframe.train(data, out=tmp_path / "run", **SMALL)
        run.plot_figures(data, split="train")
        return seen

    return draw


@pytest.mark.slow
def test_images_without_a_range_are_drawn_in_the_users_units(drawn):
    originals = drawn(WAVES)["reconstructions"][0]
    assert 0 <= originals.min() < 0.05
    assert 0.95 < originals.max() <= 1
    # As z-scores by pixel, both halves would be alike.
    assert originals[:, :, :3].mean() > 4 * originals[:, :, 3:].mean()


@pytest.mark.slow
def test_images_with_a_range_keep_it(drawn):
    dim = np.full((300, 1, 6, 6), 51, np.uint8)
    dim[:, 0, 0, 0] = 255
    originals = drawn(dim)["reconstructions"][0]
    assert torch.allclose(originals.median(), torch.tensor(0.2))


@pytest.mark.slow
def test_rows_of_every_class_are_drawn_though_the_file_is_sorted(drawn, monkeypatch):
    monkeypatch.setattr(gallery, "MOST_CODES", 60)
    monkeypatch.setattr(gallery, "MOST_IMAGES", 20)
    seen = drawn(WAVES)
    codes, labels, _ = seen["codes_by_class"]
    assert len(codes) == 60
    assert np.bincount(labels).min() > 10
    originals = seen["reconstructions"][0]
    assert len(originals) == 20
    assert originals[:, :, :3].mean((1, 2, 3)).std() > 0.1  # of classes that differ in brightness


@pytest.mark.slow
def test_the_plane_is_drawn_where_the_model_lives(drawn, monkeypatch):
    devices, real = [], plane.stream
    monkeypatch.setattr(plane, "stream", lambda *names, device: devices.append(device) or real(*names, device=device))
    drawn(WAVES)
    assert devices == [torch.device("cpu")]


@pytest.mark.slow
def test_series_far_from_zero_keep_their_differences(drawn):
    seconds = 1.7e9 + np.random.default_rng(0).normal(0, 3, (300, 1, 12))
    originals, decoded = drawn(seconds, channels="first")["reconstructions"][:2]
    assert originals.dtype == decoded.dtype == torch.float64
    assert originals.std() == pytest.approx(3, rel=0.1)
