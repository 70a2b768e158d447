"""`python -m aaeframe.testing PATH`: a plugin is checked in its source tree, before it is installed."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from aaeframe.components.source_tree import SourceTree
from aaeframe.errors import PluginError

EXAMPLES = Path(__file__).parents[3] / "plugins" / "examples"
PROJECT = """
[project]
name = "Aaeframe_Toy"
version = "3.1"

[project.entry-points.aaeframe]
toy = "aaeframe_toy"
"""
TOY = """
from aaeframe import Component, hookimpl

@hookimpl
def aaeframe_priors():
    return [Component("toy", "aaeframe_toy.prior:toy", "a toy")]
"""
PRIOR = """
import torch
from torch.distributions import Independent, Normal

def toy(*, rank: int = 1):
    return Independent(Normal(torch.zeros(2), 1.0), rank)
"""


def check(*arguments, cwd=None, **environ):
    command = [sys.executable, "-m", "aaeframe.testing", *map(str, arguments)]
    environ = {**os.environ, "COLUMNS": "120", **environ}
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, env=environ)


@pytest.fixture
def tree(tmp_path):
    """Writes the tree of a plugin: its pyproject.toml, and its package in src or next to it."""

    def write(layout="src", project=PROJECT, hooks=TOY, prior=PRIOR):
        folder = tmp_path / "tree"
        package = folder / layout / "aaeframe_toy"
        package.mkdir(parents=True)
        (folder / "pyproject.toml").write_text(project)
        (package / "__init__.py").write_text(hooks)
        (package / "prior.py").write_text(prior)
        return folder

    return write


@pytest.mark.slow
def test_a_plugin_in_src_is_checked_as_if_it_were_installed(tree, tmp_path):
    folder = tree()
    files = sorted(folder.rglob("*.py"))

    done = check("tree", "--json", cwd=tmp_path, PYTHONDONTWRITEBYTECODE="1")

    report = json.loads(done.stdout)
    plugin, component = report["checked"]
    assert (done.returncode, report["failed"]) == (0, 0), done.stderr
    assert (plugin["distribution"], plugin["version"], plugin["status"]) == ("aaeframe-toy", "3.1", "active")
    assert [it["verdict"] for it in plugin["checks"]] == ["passed", "passed"]
    assert component["full_name"] == "aaeframe-toy:toy"
    assert {"id": "log-prob-fit", "verdict": "passed", "message": ""} in component["checks"]
    assert [it for it in sorted(folder.rglob("*")) if it.is_file()] == sorted([*files, folder / "pyproject.toml"])


@pytest.mark.slow
def test_a_flat_tree_comes_before_what_is_installed_and_a_failure_is_1(tree, install, monkeypatch):
    other = install("aaeframe-toy", {"aaeframe_toy": "raise RuntimeError('the installed one')"})

    done = check(tree("."), "toy(rank=0)", PYTHONPATH=str(other))

    assert done.returncode == 1, done.stderr
    assert "aaeframe-toy 3.1, entry point toy (active)\n  pass  active\n" in done.stdout
    assert "the prior 'toy' of aaeframe-toy 3.1\n" in done.stdout
    assert "  FAIL  batch-shape: " in done.stdout
    assert done.stdout.endswith(f"{done.stdout.count('  FAIL  ')} failed\n")


@pytest.mark.slow
def test_a_tree_whose_name_is_that_of_a_component_of_ours_is_what_is_checked(tree):
    done = check(tree(project=PROJECT.replace("Aaeframe_Toy", "swissroll"), hooks="raise RuntimeError('broken')"))

    assert done.returncode == 1
    assert "swissroll 3.1, entry point toy\n  FAIL  active: broken: RuntimeError: broken (at " in done.stdout


@pytest.mark.parametrize(
    ("project", "message"),
    [
        (None, "there is no {folder}/pyproject.toml: give the folder of a plugin"),
        ("[project", "{folder}/pyproject.toml is not valid TOML: "),
        ("[tool.x]", "{folder}/pyproject.toml has no table [project]"),
        ('[project]\nname = "../x"', "{folder}/pyproject.toml gives no valid name under [project]: '../x'"),
        (
            '[project]\nname = "toy"',
            "names no entry point of the group 'aaeframe'. Add the table [project.entry-points.a",
        ),
        ('[project]\nname = "toy"\ndynamic = ["entry-points"]', "Only its build knows them: install it"),
        (PROJECT.replace('"aaeframe_toy"', '"aaeframe_toys"'), "there is no module 'aaeframe_toys' in {folder}/src or"),
    ],
    ids=["no file", "damaged", "no project", "bad name", "no entry point", "dynamic", "no module"],
)
def test_a_folder_without_a_plugin_is_refused(tree, project, message):
    folder = tree(project=project or "")
    if project is None:
        (folder / "pyproject.toml").unlink()

    with pytest.raises(PluginError) as raised:
        SourceTree.read(folder)

    assert message.format(folder=folder) in str(raised.value)


@pytest.mark.slow
def test_the_command_refuses_with_exit_code_2_and_no_traceback(tree):
    done = check(tree(), "toys")

    assert done.returncode == 2
    assert "no active plugin offers a component named 'toys'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["{folder}"], "error: there is no {folder}/pyproject.toml: "), ([], "arguments are required: PATH")],
    ids=["no plugin", "no path"],
)
def test_it_refuses_before_anything_is_checked(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.setattr(sys, "argv", ["aaeframe.testing", *(it.format(folder=tmp_path) for it in arguments)])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("aaeframe.testing", run_name="__main__")

    assert ended.value.code == 2
    assert message.format(folder=tmp_path) in capsys.readouterr().err


@pytest.mark.parametrize("example", sorted(path.name for path in EXAMPLES.glob("aaeframe-*")))
def test_the_modules_of_every_example_are_found(example):
    tree = SourceTree.read(EXAMPLES / example)

    assert tree.distribution == example
    assert all(tree.file(module).is_relative_to(EXAMPLES / example) for module in tree.entry_points.values())
