"""benchmarks/clusters.py: what it measures, and one variant from images to the table."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from aaeframe import load
from aaeframe.configuration.compose import compose
from aaeframe.configuration.schema import parse
from aaeframe.configuration.shorthand import expand
from aaeframe.data import from_arrays

ROOT = Path(__file__).parents[3]


@pytest.fixture
def clusters(script):
    return script("clusters")


def bar(width, shear=0.0):
    """An upright bar, 20 rows high, whose rows move right by `shear` each."""
    image = np.zeros((28, 28))
    for row in range(4, 24):
        left = 13 + round(shear * (row - 14))
        image[row, left : left + width] = 1.0
    return image


def test_slant_and_thickness_of_bars(clusters):
    assert clusters.slant(np.stack([bar(3), bar(3, 0.5), bar(3, -0.5)])) == pytest.approx([0, 0.5, -0.5], abs=0.02)
    thin, thick = clusters.thickness(np.stack([bar(2), bar(5)]))
    assert thin == pytest.approx(2 * 20 / (2 * 2 + 2 * 20))
    assert thick > 2 * thin


def test_information_is_the_entropy_of_what_is_equal_and_none_of_what_is_independent(clusters):
    a = np.repeat([0, 1, 2, 3], 25)
    assert clusters.information(a, a) == pytest.approx(math.log(4))
    assert clusters.information(a, np.tile(np.arange(5), 20)) == pytest.approx(0)


def test_style_is_what_the_cluster_knows_beyond_the_digit(clusters, tmp_path):
    random = np.random.default_rng(0)
    digits = np.repeat(np.arange(10), 500)
    images = random.uniform(size=(len(digits), 1, 4, 4))
    watch = clusters.Watch(tmp_path / "lines", images, digits)
    style = random.integers(2, size=len(digits))
    assert watch._given_digit(style, style, random) == pytest.approx(math.log(2), abs=0.01)
    assert watch._given_digit(digits, style, random) == pytest.approx(0, abs=0.01)
    assert watch._given_digit(random.integers(2, size=len(digits)), style, random) == pytest.approx(0, abs=0.01)


@pytest.mark.slow
def test_a_variant_is_trained_once_measured_by_epoch_and_shown(clusters, tmp_path, capsys):
    images = np.random.default_rng(0).integers(1, 256, size=(60, 1, 8, 8), dtype=np.uint8)
    data = from_arrays(images, np.arange(60) % 10, held_out=(20, 10))
    for _ in range(2):
        clusters.run(tmp_path, ["joint-adam"], 2, 11, data)
    lines = [json.loads(line) for line in (tmp_path / "joint-adam.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2]
    assert 0 <= lines[-1]["error"] <= 1
    assert lines[-1]["digit"] >= 0
    assert capsys.readouterr().out.count("| joint-adam | 2 |") == 2
    assert len(list(tmp_path.glob("joint-adam-*"))) == 1
    with pytest.raises(SystemExit, match="of another seed"):
        clusters.run(tmp_path, ["joint-adam"], 2, 12, data)
    with pytest.raises(SystemExit, match="classes or settings"):
        clusters.run(tmp_path, ["joint-adam"], 2, 11, data, classes=30)
    with pytest.raises(SystemExit, match="classes or settings"):
        clusters.run(tmp_path, ["joint-adam"], 2, 11, data, changes=["training.input_dropout=0.1"])
    clusters.run(tmp_path / "less", ["joint-adam"], 2, 11, data, changes=["training.input_dropout=0.1"])
    assert load(tmp_path / "less/joint-adam-0").config.training.input_dropout == 0.1
    clusters.plot(tmp_path, tmp_path / "lines.png")
    assert (tmp_path / "lines.png").read_bytes().startswith(b"\x89PNG")


def test_every_recorded_change_can_be_asked_for(clusters):
    files = list((ROOT / "benchmarks/results/2026-11-30-clusters-changes").rglob("*.jsonl"))
    assert len(files) == 12
    changes = [json.loads(file.read_text().splitlines()[0])["set"] for file in files]
    assert len({compose(None, clusters.settings("joint-sgd-quiet"), {}, it).model_dump_json() for it in changes}) == 12


def test_every_variant_is_a_configuration_of_its_own(clusters):
    found = [parse(expand(clusters.settings(variant, classes=30))) for variant in clusters.VARIANTS]
    assert all(it.prior["y"].options["classes"] == 30 for it in found)
    assert len({it.model_dump_json() for it in found}) == len(found) == 11


@pytest.mark.slow
def test_a_variant_that_is_not_measured_to_its_end_is_not_kept(clusters, tmp_path, monkeypatch):
    images = np.random.default_rng(0).integers(1, 256, size=(60, 1, 8, 8), dtype=np.uint8)
    data = from_arrays(images, np.arange(60) % 10, held_out=(20, 10))
    real = clusters.Watch.measured

    def measured(self, run):
        if run.step > 1:
            raise ValueError("no")
        return real(self, run)

    monkeypatch.setattr(clusters.Watch, "measured", measured)
    with pytest.warns(UserWarning, match="left out"), pytest.raises(SystemExit, match="not measured in each of 2"):
        clusters.run(tmp_path, ["joint-adam"], 2, 11, data)
    assert not (tmp_path / "joint-adam.jsonl").exists()


@pytest.mark.parametrize("words", [["run", "F", "joint-rmsprop"], ["plot", "F"]])
def test_what_it_cannot_do_is_refused(clusters, monkeypatch, capsys, words):
    monkeypatch.setattr("sys.argv", ["clusters.py", *words])
    with pytest.raises(SystemExit) as ended:
        clusters.main()
    assert ended.value.code == 2
    assert ("joint-adam" if words[0] == "run" else "FILE.png") in capsys.readouterr().err
