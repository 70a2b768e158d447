"""Real third-party distributions: built as wheels and installed into a clean environment beside ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

DRIVER = """
import contextlib, io, json, sys
from aaeframe.cli import main
results = []
for arguments in json.loads(sys.argv[1]):
    out, err = io.StringIO(), io.StringIO()
    sys.argv = ["aaeframe", *arguments]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
            code = 0
        except SystemExit as stop:
            code = stop.code or 0
    loaded = sorted(name for name in sys.modules if name == "torch" or name.startswith("aaeframe_"))
    results.append({"code": code, "out": out.getvalue(), "err": err.getvalue(), "loaded": loaded})
print(json.dumps(results))
"""


@dataclass(frozen=True)
class Done:
    """The outcome of one command line."""

    code: int
    out: str
    err: str
    loaded: list[str]
    """The modules loaded afterwards, among torch and those of plugins."""

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Environment:
    """A virtual environment that sees this one's packages, and folders put on its path."""

    python: Path
    path: tuple[Path, ...] = ()

    def with_path(self, *folders: Path) -> Environment:
        return Environment(self.python, folders)

    def run(self, *commands: list[str]) -> list[Done]:
        """Run command lines one after the other in one process; fails on any uncaught exception."""
        return [Done(**result) for result in self.ask(DRIVER, json.dumps(commands))]

    def ask(self, program: str, *arguments: str) -> Any:
        """Parse the JSON that a program prints; fails if the program does."""
        return json.loads(self.python_runs("-W", "ignore", "-c", program, *arguments))

    def python_runs(self, *arguments: str, cwd: Path | None = None) -> str:
        """Run Python with these arguments and return its output; fails if its exit code is not 0."""
        environ = {key: value for key, value in os.environ.items() if not key.endswith("_PLUGINS")}
        environ |= {"PYTHONPATH": os.pathsep.join(map(str, self.path)), "COLUMNS": "200", "OMP_NUM_THREADS": "1"}
        command = [self.python, *arguments]
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, env=environ, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def install(self, *wheels: Path) -> None:
        """Install wheels with pip, reaching no registry."""
        pip = [sys.executable, "-m", "pip", "--python", self.python, "--disable-pip-version-check", "install"]
        subprocess.run([*pip, "--quiet", "--no-index", "--no-deps", *wheels], check=True)


class Workshop:
    """Writes and builds distributions of one module."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def project(self, name: str, source: str) -> Path:
        """A project as an author would write it; its entry point is called as the distribution, less "aaeframe-"."""
        module = name.replace("-", "_")
        project = self.folder / name
        project.mkdir()
        (project / f"{module}.py").write_text(source)
        (project / "pyproject.toml").write_text(
            f"""
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "{name}"
version = "1.0"
dependencies = ["aaeframe"]

[project.entry-points.aaeframe]
{name.removeprefix("aaeframe-")} = "{module}"

[tool.hatch.build.targets.wheel]
only-include = ["{module}.py"]
"""
        )
        return project

    def wheel(self, project: Path) -> Path:
        """The wheel of a project, built by its build backend in this process."""
        from hatchling.builders.wheel import WheelBuilder

        (wheel,) = WheelBuilder(str(project)).build(directory=str(project / "dist"), versions=["standard"])
        return Path(wheel)

    def unpack(self, wheel: Path) -> Path:
        """A folder in which a pure wheel is installed, which is to say unpacked."""
        folder = self.folder / "unpacked" / wheel.stem
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)
        return folder


@pytest.fixture(scope="module")
def workshop(tmp_path_factory) -> Workshop:
    return Workshop(tmp_path_factory.mktemp("workshop"))


@pytest.fixture(scope="module")
def new_environment(tmp_path_factory) -> Callable[[], Environment]:
    """Make a virtual environment with nothing of its own, beside whose packages this one's stand."""

    def make() -> Environment:
        folder = tmp_path_factory.mktemp("environment")
        venv.create(folder, with_pip=False)
        python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        query = "import sysconfig; print(sysconfig.get_path('purelib'))"
        site = subprocess.run([python, "-c", query], capture_output=True, text=True, check=True).stdout.strip()
        ours = sorted({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
        # By addsitedir, as ours may be an editable install: a .pth file in a folder named by one is not read.
        lines = [f"import site; site.addsitedir({path!r})\n" for path in ours]
        (Path(site) / "parent.pth").write_text("".join(lines))
        return Environment(python)

    return make
