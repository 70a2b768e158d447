from __future__ import annotations

import pytest

from aaeframe import presets
from aaeframe.build import resolve
from aaeframe.errors import ConfigError
from aaeframe.layers import compose
from aaeframe.registry import Registry


@pytest.fixture
def folder(monkeypatch, tmp_path):
    """A folder of presets of our own."""
    monkeypatch.setattr(presets, "files", lambda package: tmp_path)
    return tmp_path


def test_a_preset_by_its_name(folder):
    (folder / "swissroll.toml").write_text("# A roll.\n[training]\nepochs = 3\n")
    (folder / "__init__.py").touch()
    assert presets.preset_names() == ["swissroll"]
    assert presets.read_preset("swissroll") == {"training": {"epochs": 3}}
    assert compose("swissroll", None, {}).training.epochs == 3


def test_an_unknown_preset_lists_the_nearest_and_all(folder):
    with pytest.raises(ConfigError, match="no preset is named 'x'; there are: none"):
        presets.read_preset("x")
    for name in ("mnist", "swissroll"):
        (folder / f"{name}.toml").touch()
    with pytest.raises(
        ConfigError, match=r"no preset is named 'swisroll'; did you mean 'swissroll'\?; there are: mnist, swissroll"
    ):
        presets.read_preset("swisroll")


@pytest.mark.parametrize("name", ["figure-4-mixture", "figure-4-swissroll"])
def test_figure_4_without_labels_is_a_run(name):
    whole = resolve(compose(name, None, {"data": {"labels": 0}}), Registry.load())
    assert whole.data.labels == 0


def test_every_preset_that_comes_with_the_package_resolves():
    registry = Registry.load()
    for name in presets.preset_names():
        resolve(compose(name, None, {}), registry)
