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
import ruff
import yaml

from aaeframe.components.registry import KINDS
from aaeframe.scaffold.package import use

NAMES = {kind: f"my-{kind}" for kind in KINDS}
AUTHOR = 'Ada "Countess" Lovelace'

OWN_TESTS = """
import os, sys, pytest
for project in sys.argv[1:]:
    os.chdir(project)
    sys.modules.pop("test_conformance", None)  # that of the project before
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


@pytest.mark.slow
def test_its_own_tests_pass(made):
    environment, projects = made

    # With -P, what is installed is imported, not the folder that pytest runs in; without its own installed plugins.
    command = [environment.python, "-P", "-c", OWN_TESTS, *projects.values()]
    environ = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environ, check=False)

    out = done.stdout
    assert done.returncode == 0, out + done.stderr
    assert out.count("::test_it_trains PASSED") == len(KINDS) - 1  # no training takes a benchmark
    assert out.count("::test_conformance[importing the hook module is cheap] PASSED") == len(KINDS)
    for expected in (
        "prior my-prior: samples lie in the support",
        "encoder my-encoder: codes lie in the relaxation of their block's support",
        "discriminator my-discriminator: gradients reach the code and every parameter [labels]",
        "network my-network: the state_dicts have everything that features and reconstructions depend on [image]",
        "recipe my-recipe: a step never waits for the device: no `.item()`, no `bool` of a tensor, no mask as an index "
        "[joint]",
        "benchmark my-benchmark: the function passes the check of each case of its suite, at small sizes, on a GPU if "
        "there is one",
        "observer my-observer: every call of a run in a folder is accepted",
    ):
        assert f"tests/test_conformance.py::test_conformance[{expected}] PASSED" in out
    assert "warning" not in out


@pytest.mark.slow
def test_it_passes_its_checks_and_trains_among_its_like(made, tmp_path):
    environment, _ = made
    run = tmp_path / "run"
    options = {"prior": "radius=3", "encoder": "scale=0.5", "discriminator": "hidden=8", "network": "width=8"}
    options["recipe"] = "weight=2"
    options["observer"] = 'metric="seconds"'
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


@pytest.fixture
def runner(new_environment, tmp_path):
    """A machine as CI has it, without a network: `runner(step)` runs one step of the workflow in the checkout."""
    environment = new_environment()
    scripts, temporary = environment.python.parent, tmp_path / "temporary"
    temporary.mkdir()
    run_module = {name: f'"{environment.python}" -m {name}' for name in ("aaeframe", "pytest")}
    for name, program in {**run_module, "ruff": f'"{ruff.find_ruff_bin()}"'}.items():
        (scripts / name).write_text(f'#!/bin/sh\nexec {program} "$@"\n')
        (scripts / name).chmod(0o755)
    checkout = tmp_path / "checkout"
    environ = {**os.environ, "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}", "GITHUB_WORKSPACE": str(checkout)}
    environ |= {"PIP_NO_INDEX": "1", "PIP_NO_DEPS": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "OMP_NUM_THREADS": "1"}

    def run(step, variables):
        # The build backend is here already, and an isolated build would install it from an index.
        command = step["run"].replace("-m build", "-m build --no-isolation")
        cwd = {None: checkout, "${{ runner.temp }}": temporary}[step.get("working-directory")]
        shell = ["bash", "-euo", "pipefail", "-c", command]
        return subprocess.run(shell, cwd=cwd, env=environ | variables, capture_output=True, text=True, check=False)

    return environment, checkout, run


@pytest.mark.slow
def test_its_workflow_tests_the_wheel_and_takes_aaeframe_from_anywhere(runner, workshop, tmp_path):
    environment, checkout, run = runner
    source = workshop.project("aaeframe-elsewhere", "")
    (new,) = environment.run(["plugins", "new", "ring", "--kind", "prior", "--out", str(checkout)])
    workflow = yaml.safe_load((checkout / ".github/workflows/test.yml").read_text())
    steps = [it for it in workflow["jobs"]["wheel"]["steps"] if "run" in it]
    (variable,) = workflow["env"]

    # A path in place of the name: this wheel stands for one of aaeframe, which is not on an index.
    variables, found = {variable: str(workshop.wheel(source))}, []
    for step in steps:
        if step["run"].startswith("pytest"):  # from here on the tree is broken, and the wheel is not
            (checkout / "aaeframe_ring/ring.py").write_text("raise RuntimeError('the tree is imported')")
        found.append(run(step, variables))

    assert new.code == 0, new.err
    assert [it.returncode for it in found] == [0] * len(steps), [it.stdout + it.stderr for it in found]
    place = "import importlib.util as u; print(u.find_spec('aaeframe_elsewhere').origin)"
    assert str(environment.python.parents[1]) in environment.python_runs("-c", place)
    tests, checks = (done.stdout for done in found[-3:-1])
    assert " passed" in tests
    assert checks.endswith("nothing failed\n")


def test_an_installed_name_is_taken(made, tmp_path):
    environment, _ = made

    (again,) = environment.run(["plugins", "new", "my-prior", "--kind", "encoder", "--out", str(tmp_path / "new")])

    assert again.code == 2
    assert again.err.startswith("error: aaeframe-my-prior 0.1.0 is installed already: choose another name")
    assert not (tmp_path / "new").exists()


@pytest.mark.slow
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
