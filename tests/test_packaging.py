"""The distribution as others get it: a wheel built from the source archive, and an editable install."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from dataclasses import dataclass
from email.parser import Parser
from pathlib import Path
from typing import Any

import pytest

import aaeframe

ROOT = Path(__file__).parents[1]
FOLDERS = {
    "aaeframe": ROOT / "aaeframe",
    "aaeframe_plugins": ROOT / "plugins/aaeframe_plugins",
    "aaeframe_kernels": ROOT / "kernels/aaeframe_kernels",
}
PLUGINS = {
    name: f"aaeframe_plugins.{name.replace('-', '_')}"
    for name in (*("data-sets", "discriminators", "encoders", "metrics", "networks", "observers", "priors", "recipes"),)
}
INFO = f"aaeframe-{aaeframe.__version__}.dist-info"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder with the source archive and the wheel built from it."""
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT]
    done = subprocess.run(build, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def wheel(built):
    (path,) = built.glob("*.whl")
    return path


@dataclass(frozen=True)
class Environment:
    """A virtual environment of its own, behind which this one's packages stand."""

    folder: Path

    @classmethod
    def make(cls, folder: Path) -> Environment:
        venv.create(folder, with_pip=False)
        (site,) = folder.glob("lib/python*/site-packages")
        # A folder that a .pth file names comes last, and .pth files in it, such as our editable one, are not read.
        (site / "behind.pth").write_text("\n".join({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}))
        return cls(folder)

    def install(self, *what: Any) -> None:
        pip = [sys.executable, "-m", "pip", "--python", self.folder, "--disable-pip-version-check", "install"]
        # What is installed behind is neither taken for this installation nor removed for it.
        offline = ["--quiet", "--no-index", "--no-deps", "--ignore-installed"]
        done = subprocess.run([*pip, *offline, *what], capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr

    def run(self, program: str, *arguments: str) -> str:
        environ = {key: value for key, value in os.environ.items() if not key.startswith(("AAEFRAME", "PYTHONPATH"))}
        command = [self.folder / "bin" / program, *arguments]
        done = subprocess.run(
            command, cwd=self.folder, env=environ, capture_output=True, text=True, check=True, timeout=120
        )
        return done.stdout

    def ask(self, code: str) -> Any:
        return json.loads(self.run("python", "-c", code))


@pytest.fixture(scope="module", params=["wheel", "editable"])
def installed(request, tmp_path_factory):
    """An environment with our distribution installed, and where its packages must lie."""
    environment = Environment.make(tmp_path_factory.mktemp(request.param))
    if request.param == "wheel":
        environment.install(request.getfixturevalue("wheel"))
        return environment, dict.fromkeys(FOLDERS, environment.folder)
    environment.install("--no-build-isolation", "--editable", ROOT)
    return environment, FOLDERS


def test_the_wheel_holds_three_packages_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0] for name in names} == {*FOLDERS, INFO}
    held = {name for name in names if not name.startswith(INFO)}
    source = {
        f"{package}/{path.relative_to(folder).as_posix()}"
        for package, folder in FOLDERS.items()
        for path in folder.rglob("*")
        if path.suffix in (".py", ".toml", ".template", ".html", ".css", ".js", ".npz") or path.name == "py.typed"
    }
    assert held == source
    assert {f"{package}/py.typed" for package in FOLDERS} <= held
    assert any(name.startswith("aaeframe/configuration/presets/") and name.endswith(".toml") for name in held)
    assert "aaeframe/scaffold/templates/prior.py.template" in held


def test_the_wheel_says_what_it_is(wheel):
    archive = zipfile.ZipFile(wheel)
    metadata = Parser().parsestr(archive.read(f"{INFO}/METADATA").decode())
    assert (metadata["Name"], metadata["Version"]) == ("aaeframe", aaeframe.__version__)
    assert metadata["License-Expression"] == "MIT"
    assert metadata["Requires-Python"] == ">=3.11"
    assert "Adversarial autoencoders" in metadata.get_payload()
    assert (ROOT / "LICENSE").read_text() == archive.read(f"{INFO}/licenses/LICENSE").decode()
    needs = metadata.get_all("Requires-Dist")
    assert [it for it in needs if it.startswith("torch")] == ["torch>=2.11"]
    assert [it for it in needs if it.startswith("triton")] == ["triton>=3.6; sys_platform == 'linux'"]
    assert all("extra ==" in it for it in needs if it.startswith(("pytest", "mypy", "ruff", "hatchling")))
    points = archive.read(f"{INFO}/entry_points.txt").decode()
    assert "[console_scripts]\naaeframe = aaeframe.cli:main" in points
    assert "[aaeframe]\n" in points


def test_the_source_archive_holds_what_a_wheel_and_the_tests_need(built):
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE", "tests/test_packaging.py"} <= names
    assert not [name for name in names if name.startswith((".git/", "runs/", ".venv/")) or "__pycache__" in name]


@pytest.mark.slow
def test_importing_what_is_installed_imports_no_torch(installed):
    environment, places = installed
    tell = "print(json.dumps([{name: sys.modules[name].__file__ for name in names}, 'torch' in sys.modules]))"
    for names in (["aaeframe", "aaeframe_plugins"], ["aaeframe_kernels"]):
        found, torch = environment.ask(f"import json, sys, {', '.join(names)}; names = {names}; {tell}")
        assert torch == ("aaeframe_kernels" in names)
        for name, file in found.items():
            assert Path(file).is_relative_to(places[name]), f"{name} is imported from {file}"


def test_entry_points_are_seen_once(installed):
    environment, _ = installed
    points = environment.ask(
        "import json; from importlib.metadata import entry_points;"
        "print(json.dumps([[it.name, it.value, it.dist.name] for it in entry_points(group='aaeframe')]))"
    )
    assert sorted(points) == [[name, module, "aaeframe"] for name, module in PLUGINS.items()]


@pytest.mark.slow
def test_the_command_is_there_and_finds_the_plugins(installed):
    environment, _ = installed
    assert "Usage: aaeframe" in environment.run("aaeframe", "--help")
    assert environment.run("aaeframe", "--version") == f"aaeframe {aaeframe.__version__}\n"
    listed = json.loads(environment.run("aaeframe", "plugins", "list", "--json"))["plugins"]
    assert [(it["name"], it["status"], it["version"]) for it in listed] == [
        (name, "active", aaeframe.__version__) for name in PLUGINS
    ]


@pytest.mark.slow
def test_presets_are_there(installed):
    environment, _ = installed
    names = environment.ask(
        "import json; from aaeframe.configuration.presets import preset_names; print(json.dumps(preset_names()))"
    )
    assert names == sorted(path.stem for path in (ROOT / "aaeframe/configuration/presets").glob("*.toml"))
    assert "[training]" in environment.run("aaeframe", "config", "show", "--preset", names[0])
