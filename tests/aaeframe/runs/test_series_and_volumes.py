"""Series and volumes from a file to a trained run, its measurements, its codes and its figures."""

from __future__ import annotations

import numpy as np
import pytest

import aaeframe

SMALL = {"network": "mlp(hidden=[8])", "discriminator": "mlp(hidden=[8])", "epochs": 1, "device": "cpu"}
RNG = np.random.default_rng(0)
KINDS = {
    "series": (RNG.normal(size=(60, 2, 30)), {"channels": "first"}, (2, 30)),
    "series of bytes, last": (RNG.integers(0, 256, (60, 30, 5), dtype=np.uint8), {"channels": "last"}, (5, 30)),
    "volumes": (RNG.normal(size=(60, 5, 6, 7, 2)), {"channels": "last"}, (2, 5, 6, 7)),
    "gray volumes of bytes": (RNG.integers(0, 256, (60, 5, 6, 7), dtype=np.uint8), {"channels": "none"}, (1, 5, 6, 7)),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_from_the_file_to_the_figures(tmp_path, kind):
    x, options, shape = KINDS[kind]
    np.savez(tmp_path / "x.npz", x=x, y=np.arange(60) % 2)
    data = aaeframe.data.load(tmp_path / "x.npz", **options)
    run = aaeframe.train(data, out=tmp_path / "run", **SMALL)
    rows = data.test.array()
    assert rows.shape == (6, *shape)
    assert run.reconstruct(rows).shape == rows.shape
    assert all(len(z) == 6 for z in run.encode(rows).values())
    assert run.sample(3).shape == (3, *shape)
    assert np.isfinite(list(run.evaluate(data)["reconstruction"].values())).all()
    names = {path.stem for path in run.plot_figures(data)}
    assert {"reconstructions", "samples"} <= names
    assert not any(name.startswith("plane") for name in names)
