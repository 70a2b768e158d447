"""Rows of their own for `aaeframe reproduce`: tiny presets on the digits, which take a second."""

from __future__ import annotations

import os
import shutil

import pytest

from aaeframe.configuration import presets
from aaeframe.evaluation import matching
from aaeframe.reproduce import experiments
from aaeframe.reproduce import rivals as generators
from aaeframe.reproduce.experiments import ByGenerator, ByPreset, Experiment
from aaeframe.reproduce.rivals import GeneratorSettings
from aaeframe.runs.run import Run

ABOUT = """
[about]
title = "{name}"
reproduces = "Nothing."
deviates = ["In all."]
takes = "a second"
seeds = [3, 5]
"""
SMALL = """
[network]
component = "mlp"
options = {{ hidden = [8] }}
[discriminator]
component = "mlp"
options = {{ hidden = [8] }}
[data]
source = "digits"
[recipe]
component = "{recipe}"
[training]
schedule = "joint"
epochs = 2
batch_size = 600
reconstruction_weight = 0.5
"""
CLUSTERS = """
[prior.y]
component = "categorical"
options = { classes = 12 }
[prior.style]
component = "gaussian"
"""
PRESETS = {
    "tiny-clusters": CLUSTERS + SMALL.format(recipe="clustering"),
    "tiny-code": '[prior.z]\ncomponent = "gaussian"' + SMALL.format(recipe="unsupervised"),
}
LARGE = experiments.EXPERIMENTS["16-clusters"]
ROWS = {
    row.name: row
    for row in (
        Experiment(
            name="clusters",
            title="a dozen clusters",
            unit="%",
            columns={
                "label-free": ByPreset("tiny-clusters", ("label_free.mutual_information=0.1",)),
                "terms": ByPreset("tiny-clusters", LARGE.columns["terms"].overrides, has_criteria=False),
            },
            default=("label-free",),
            paper=LARGE.paper,
            error="clustering",
            best_of_seeds=True,
        ),
        *(
            Experiment(
                name=name,
                title=name,
                unit="nats",
                columns={"modern": ByPreset("tiny-code"), **more},
                default=("modern",),
                paper=None,
                samples=samples,
                shares_runs_with="likelihood",
            )
            for name, samples, more in (("likelihood", 20, {"gan": ByGenerator("gan")}), ("more", 40, {}))
        ),
    )
}


@pytest.fixture(autouse=True)
def tiny(monkeypatch, tmp_path):
    """Presets, rows and evaluations that take no time, and a folder to be in."""
    folder = tmp_path / "presets"
    folder.mkdir()
    for name, text in PRESETS.items():
        (folder / f"{name}.toml").write_text(ABOUT.format(name=name) + text)
    monkeypatch.setattr(presets, "files", lambda package: folder)
    monkeypatch.setattr(experiments, "EXPERIMENTS", ROWS)
    small = GeneratorSettings(epochs=2, batch_size=600, hidden=(8,), noise=4, learning_rate=1e-3, dropout=0.0)
    monkeypatch.setattr(generators, "DEFAULTS", {"gan": small})
    monkeypatch.setattr(ByGenerator, "data", "digits")
    for name, value in {"PROJECTIONS": 4, "MMD_DRAWS": 1, "MAX_ROWS": 60}.items():
        monkeypatch.setattr(matching, name, value)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def made():
    """The folders of commands that `first` has run, by their arguments."""
    return {}


@pytest.fixture
def first(done, made, tmp_path, tmp_path_factory):
    """Makes the folder `first` by `aaeframe reproduce` with these arguments, which is run once for all tests."""

    def make(*arguments):
        if arguments not in made:
            kept = tmp_path_factory.mktemp("made") / "first"
            done("reproduce", *arguments, "--out", "first")
            made[arguments] = shutil.copytree(tmp_path / "first", kept)
        else:
            shutil.copytree(made[arguments], tmp_path / "first")

    return make


@pytest.fixture
def evaluated(monkeypatch):
    """The folders that were evaluated, in turn."""
    seen = []
    real = Run.evaluate

    def evaluate(self, *arguments, **options):
        seen.append(os.path.relpath(self.folder.path))
        return real(self, *arguments, **options)

    monkeypatch.setattr(Run, "evaluate", evaluate)
    return seen


@pytest.fixture
def measured(monkeypatch):
    """The seeds of the generators that were trained, in turn."""
    seen = []
    real = generators.measure

    def measure(kind, dataset, settings, samples, progress):
        seen.append(settings.seed)
        return real(kind, dataset, settings, samples, progress)

    monkeypatch.setattr(generators, "measure", measure)
    return seen
