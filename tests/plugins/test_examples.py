"""The packages of plugins/examples, as a stranger has them: wheels, installed where their source is not seen."""

from __future__ import annotations

import json
import shutil
import tomllib
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "plugins" / "examples"
NAMES = sorted(path.name for path in EXAMPLES.glob("aaeframe-*"))
SHORT = {name: name.removeprefix("aaeframe-") for name in NAMES}
PRIORS = [short for short in SHORT.values() if short not in ("deadline", "fourier", "wasserstein")]
TRAIN = """
import json, sys, tempfile
import aaeframe, numpy as np
random = np.random.default_rng(0)
data = random.normal(size=(60, 5)).astype("float32"), np.arange(60) % 2
results = []
for prior, discriminator, labels in json.loads(sys.argv[1]):
    with tempfile.TemporaryDirectory() as folder:
        run = aaeframe.train(
            data, prior=prior, encoder="gaussian", discriminator=discriminator, network="mlp(hidden=[16])", epochs=2,
            batch_size=12, labels=labels, out=folder + "/run",
        )
        codes = {name: code.tolist() for name, code in aaeframe.load(run.folder.path).encode(data[0]).items()}
        losses = json.loads(run.folder.metrics.read_text().splitlines()[-1])
    results.append({"losses": losses, "codes": codes, "discriminator": run.config.discriminator.component})
print(json.dumps(results))
"""
"""A tiny run for each prior, discriminator and number of labels: what is trained, loaded and encoded."""

EVALUATE = """
import json, sys, tempfile
import aaeframe, numpy as np
random = np.random.default_rng(0)
data = aaeframe.data.from_arrays(random.normal(size=(200, 5)).astype("float32"))
with tempfile.TemporaryDirectory() as folder:
    run = aaeframe.train(
        data, prior=sys.argv[1], recipe=sys.argv[2], network="mlp(hidden=[16])", epochs=3, batch_size=20,
        out=folder + "/run",
    )
    report = aaeframe.load(run.folder.path).evaluate(data)
    losses = [json.loads(row) for row in run.folder.metrics.read_text().splitlines()]
print(json.dumps({"losses": losses, "report": report, "recipe": run.config.recipe.model_dump()}))
"""
"""A tiny run of a recipe: what is trained, loaded and evaluated."""


def train(environment, *runs):
    return environment.ask(TRAIN, json.dumps(runs))


@pytest.fixture(scope="module")
def projects(workshop):
    """A copy of every example, as building leaves files beside the source."""
    for name in NAMES:
        ignored = shutil.ignore_patterns("__pycache__", "dist", ".*")
        shutil.copytree(EXAMPLES / name, workshop.folder / name, ignore=ignored)
    return workshop.folder


@pytest.fixture(scope="module")
def wheels(projects, workshop):
    return {name: workshop.wheel(projects / name) for name in NAMES}


@pytest.fixture(scope="module")
def environment(new_environment, wheels):
    environment = new_environment()
    environment.install(*wheels.values())
    return environment


def test_there_are_eight():
    assert list(SHORT.values()) == [
        *("deadline", "dirichlet", "flow", "fourier", "hypersphere", "torus", "vamp", "wasserstein"),
    ]


@pytest.mark.parametrize("name", NAMES)
def test_a_project_is_complete_and_can_be_found(name, wheels):
    project = tomllib.loads((EXAMPLES / name / "pyproject.toml").read_text())["project"]
    archive = zipfile.ZipFile(wheels[name])
    (info,) = {file.partition("/")[0] for file in archive.namelist() if ".dist-info/" in file}
    metadata = Parser().parsestr(archive.read(f"{info}/METADATA").decode())
    module = name.replace("-", "_")

    assert project["keywords"] == ["aaeframe-plugin"]
    assert project["entry-points"] == {"aaeframe": {SHORT[name]: module}}
    assert metadata["License-Expression"] == "MIT"
    assert metadata.get_payload() == (EXAMPLES / name / "README.md").read_text()
    assert {file.partition("/")[0].removesuffix(".py") for file in archive.namelist()} == {module, info}


@pytest.mark.slow
def test_their_own_tests_pass(environment, projects, tmp_path):
    """Run away from the source, so that what is imported is what was installed."""
    for name in NAMES:
        shutil.copytree(projects / name / "tests", tmp_path / name)
    asked = ["-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", "-W", "error", "--rootdir", str(tmp_path)]
    passed = environment.python_runs(*asked, str(tmp_path), cwd=tmp_path)
    assert " passed" in passed


@pytest.mark.slow
def test_they_are_listed_and_one_of_three_kinds_passes_its_checks(environment):
    """An observer, a prior and a discriminator are checked here, and all by their own tests, which are slow."""
    checked = ("deadline", "dirichlet", "fourier")
    listing, *checks = environment.run(
        ["plugins", "list", "--json"], *(["plugins", "check", short, "--json"] for short in checked)
    )

    found = {it["distribution"]: it for it in listing.json["plugins"] if it["distribution"] in NAMES}
    assert {name: it["status"] for name, it in found.items()} == dict.fromkeys(NAMES, "active")
    assert {it["name"] for plugin in found.values() for it in plugin["components"]} == set(SHORT.values())
    for check in checks:
        outcomes = [outcome for subject in check.json["checked"] for outcome in subject["checks"]]
        assert [it for it in outcomes if it["verdict"] == "failed"] == []
        assert len([it for it in outcomes if it["verdict"] == "passed"]) >= 10


@pytest.mark.slow
def test_they_train_alone_and_in_products_with_labels_and_without(environment):
    fourier = "fourier(waves=8, hidden=[16])"
    products = ["+".join(PRIORS), *(f"categorical+{prior}" for prior in PRIORS)]
    runs = [(prior, "mlp(hidden=[16])", 0) for prior in (*PRIORS, *products)]
    informed, product = ("torus(classes=2)", fourier, 10), ("categorical+torus", fourier, 0)

    *found, told, untold = train(environment, *runs, informed, product)

    assert told["discriminator"] == untold["discriminator"] == "aaeframe-fourier:fourier"
    for (prior, _, _), trained in zip(runs, found, strict=True):
        blocks = prior.split("+")
        assert {key.removeprefix("generator/") for key in trained["losses"] if "generator/" in key} == set(blocks)
        if "hypersphere" in blocks:
            lengths = [sum(value**2 for value in row) ** 0.5 for row in trained["codes"]["hypersphere"]]
            assert lengths == pytest.approx([1.0] * len(lengths), abs=1e-5)
        if "dirichlet" in blocks:
            sums = [sum(row) for row in trained["codes"]["dirichlet"]]
            assert sums == pytest.approx([1.0] * len(sums), abs=1e-5)
            assert min(map(min, trained["codes"]["dirichlet"])) >= 0


@pytest.mark.slow
def test_a_recipe_trains_and_is_evaluated(environment):
    found = environment.ask(EVALUATE, "categorical+torus", "wasserstein(mmd_weight=2.0)")

    assert found["recipe"] == {"component": "aaeframe-wasserstein:wasserstein", "options": {"mmd_weight": 2.0}}
    losses = {"reconstruction", "mmd/categorical", "mmd/torus"}
    assert all(losses <= row.keys() for row in found["losses"])
    assert not any("generator" in key for key in found["losses"][-1])
    assert found["losses"][-1]["reconstruction"] < found["losses"][0]["reconstruction"]
    assert found["report"]["blocks"].keys() == {"categorical", "torus"}
