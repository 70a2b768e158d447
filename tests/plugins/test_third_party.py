"""A stranger's prior, published as a wheel of one module, is as good as ours."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

GUIDE = (Path(__file__).parents[2] / "plugins" / "README.md").read_text()
TORUS = GUIDE.split("```python\n")[1].split("```")[0]
PYPROJECT = GUIDE.split("```toml\n")[1].split("```")[0]
"""The smallest plugin, as the guide has it."""
QUICK = ["--network", "mlp(hidden=[16])", "--discriminator", "mlp(hidden=[16])", "--epochs", "1"]


@pytest.fixture(scope="module")
def torus(new_environment, workshop):
    """The environment with aaeframe-torus built by `python -m build` and installed by pip."""
    project = workshop.project("aaeframe-torus", TORUS)
    (project / "pyproject.toml").write_text(PYPROJECT)
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", project / "dist", project]
    subprocess.run(build, check=True, capture_output=True)
    environment = new_environment()
    environment.install(*(project / "dist").glob("*.whl"))
    return environment


def test_it_is_listed_and_explained_without_torch(torus):
    listing, info = torus.run(["plugins", "list", "--json"], ["plugins", "info", "torus", "--json"])

    (plugin,) = [it for it in listing.json["plugins"] if it["distribution"] == "aaeframe-torus"]
    assert (plugin["status"], plugin["version"], plugin["name"]) == ("active", "1.0", "torus")
    assert [component["full_name"] for component in plugin["components"]] == ["aaeframe-torus:torus"]
    (component,) = info.json["components"]
    assert component["doc"] == "Points on a torus, uniform in both angles."
    assert [option["name"] for option in component["options"]] == ["radius", "tube"]
    assert "torch" not in info.loaded


@pytest.mark.slow
def test_it_passes_its_checks_and_shapes_latent_spaces(torus, tmp_path):
    alone, product = tmp_path / "alone", tmp_path / "product"
    check, train, train_product = torus.run(
        ["plugins", "check", "torus"],
        ["train", "--prior", "torus(tube=0.3)", *QUICK, "--out", str(alone)],
        ["train", "--prior", "categorical+torus", *QUICK, "--out", str(product)],
    )

    assert (check.code, train.code, train_product.code) == (0, 0, 0), check.out + train.err + train_product.err
    assert check.out.endswith("nothing failed\n")
    assert "Match of block 'torus' with its prior" in train.out
    for run, blocks in ((alone, {"torus"}), (product, {"categorical", "torus"})):
        (row,) = (json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines())
        assert {key.removeprefix("generator/") for key in row if key.startswith("generator/")} == blocks
        assert 'component = "aaeframe-torus:torus"' in (run / "config.toml").read_text()
        assert 'aaeframe-torus = "1.0"' in (run / "config.toml").read_text()
