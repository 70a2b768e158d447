"""The package that `aaeframe plugins new` writes is complete, could be published, and works at once."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import zipfile
from email.parser import Parser

import pytest

from aaeframe.components.registry import KINDS
from aaeframe.scaffold.package import use

NAMES = {kind: f"my-{kind}" for kind in KINDS}
AUTHOR = 'Ada "Countess" Lovelace'

OWN_TESTS = """
import os, sys, pytest
for project in sys.argv[1:]:
    os.chdir(project)
    code = pytest.main(["-p", "no:cacheprovider", "-v"])
    if code:
        sys.exit(f"{project}: {code!r}")
"""
"""The test suites of several projects in one process, each as by `pytest` in its folder."""


@pytest.fixture(scope="module")
def made(new_environment, workshop):
    """A clean environment, and in it a package of each kind: written, built, installed."""
    environment = new_environment()
    projects = {kind: workshop.folder / f"aaeframe-{name}" for kind, name in NAMES.items()}
    written = environment.run(
        *(
            ["plugins", "new", name, f"--kind={kind}", f"--out={projects[kind]}", f"--author={AUTHOR}"]
            for kind, name in NAMES.items()
        )
    )
    assert [it.code for it in written] == [0] * len(KINDS), [it.err for it in written]
    assert "torch" not in written[-1].loaded
    environment.install(*map(workshop.wheel, projects.values()))
    return environment, projects


def test_its_own_tests_pass(made):
    environment, projects = made

    # With -P, what is installed is imported, not the folder that pytest runs in; without its own installed plugins.
    command = [environment.python, "-P", "-c", OWN_TESTS, *projects.values()]
    environ = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environ, check=False)

    out = done.stdout
    assert done.returncode == 0, out + done.stderr
    assert out.count("::test_it_trains PASSED") == len(KINDS)
    assert out.count("::test_conformance[hook-module] PASSED") == len(KINDS)
    for expected in (
        "tests/test_my_prior.py::test_conformance[prior:my-prior:log-prob-fit]",
        "tests/test_my_encoder.py::test_conformance[encoder:my-encoder:code-noise]",
        "tests/test_my_discriminator.py::test_conformance[discriminator:my-discriminator:logit-labels[labels]]",
        "tests/test_my_network.py::test_conformance[network:my-network:reconstruction-range[image]]",
        "tests/test_my_recipe.py::test_conformance[recipe:my-recipe:phases[joint]]",
    ):
        assert f"{expected} PASSED" in out
    assert "warning" not in out


def test_it_passes_its_checks_and_trains_among_its_like(made, tmp_path):
    environment, _ = made
    run = tmp_path / "run"
    options = {"prior": "radius=3", "encoder": "scale=0.5", "discriminator": "hidden=8", "network": "width=8"}
    options["recipe"] = "weight=2"
    parts = [f"--{kind}=my-{kind}({it})" for kind, it in options.items()]
    parts += ["--preset=my-preset", "--data=my-data-set(rows=200)", '--set=evaluation.metrics=["my-metric"]']

    *checks, train = environment.run(
        *(["plugins", "check", f"aaeframe-{name}"] for name in NAMES.values()),
        ["train", *parts, "--epochs", "1", "--out", str(run)],
    )

    for check in checks:
        assert (check.code, check.out.splitlines()[-1]) == (0, "nothing failed"), check.out
    assert train.code == 0, train.err
    assert "Match of block 'my_prior' with its prior" in train.out
    (row,) = (json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines())
    assert math.isfinite(row["generator/my_prior"])
    config = (run / "config.toml").read_text()
    for kind in options:
        assert f'component = "aaeframe-my-{kind}:my-{kind}"' in config
    assert 'source = "aaeframe-my-data-set:my-data-set(rows=200, noise=0.1, seed=0)"' in config
    assert '"aaeframe-my-metric:my-metric"' in config
    assert "my-metric, my_prior" in train.out


def test_the_wheel_says_what_it_is_and_holds_the_module_alone(made):
    _, projects = made
    for kind, project in projects.items():
        (wheel,) = (project / "dist").glob("*.whl")
        stem, suffix = f"my_{kind.replace('-', '_')}", "toml" if kind == "preset" else "py"
        archive, module = zipfile.ZipFile(wheel), f"aaeframe_{stem}"
        info = f"{module}-0.1.0.dist-info"
        names = {name for name in archive.namelist() if not name.startswith(info)}
        metadata = Parser().parsestr(archive.read(f"{info}/METADATA").decode())

        assert names == {f"{module}/{it}" for it in ("__init__.py", f"{stem}.{suffix}", "py.typed")}
        assert metadata["Name"] == f"aaeframe-my-{kind}"
        assert metadata["Author"] == AUTHOR
        assert metadata["License-Expression"] == "MIT"
        assert "aaeframe-plugin" in metadata["Keywords"].split(",")
        assert [it for it in metadata.get_all("Requires-Dist") if "extra" not in it] == ["aaeframe<1,>=0.1.0"]
        assert use(kind, f"my-{kind}") in metadata.get_payload()
        assert AUTHOR in archive.read(f"{info}/licenses/LICENSE").decode()
        assert archive.read(f"{info}/entry_points.txt").decode() == f"[aaeframe]\nmy-{kind} = {module}\n"


def test_an_installed_name_is_taken(made, tmp_path):
    environment, _ = made

    (again,) = environment.run(["plugins", "new", "my-prior", "--kind", "encoder", "--out", str(tmp_path / "new")])

    assert again.code == 2
    assert again.err.startswith("error: aaeframe-my-prior 0.1.0 is installed already: choose another name")
    assert not (tmp_path / "new").exists()


def test_whatever_the_name_it_is_lint_clean(new_environment, tmp_path):
    names = ("a", "z" * 30, "field", "swiss-cheese-in-2-dimensions")
    written = new_environment().run(
        *(
            ["plugins", "new", name, "--kind", kind, "--out", str(tmp_path / f"{name}-{kind}")]
            for name in names
            for kind in KINDS
        )
    )
    assert {it.code for it in written} == {0}, [it.err for it in written]

    for command in (["check"], ["format", "--check"]):
        lint = [sys.executable, "-m", "ruff", *command, "--no-cache", "."]
        done = subprocess.run(lint, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout
