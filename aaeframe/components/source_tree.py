"""The source tree of a plugin: what its pyproject.toml says, and where its modules are.

    tree = SourceTree.read(Path("aaeframe-torus"))
    tree.entry_points                      # {"torus": "aaeframe_torus"}
    tree.file("aaeframe_torus.prior")      # aaeframe-torus/src/aaeframe_torus/prior.py

Nothing of it is imported.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aaeframe.components.requirements import NAME
from aaeframe.errors import PluginError
from aaeframe.hookspecs import GROUP


@dataclass(frozen=True, slots=True)
class SourceTree:
    """A folder with the pyproject.toml and the modules of a plugin."""

    folder: Path
    distribution: str
    version: str
    """The version; "0" if only the build knows it."""
    entry_points: Mapping[str, str]
    """The module of each entry point in the group "aaeframe"."""

    @classmethod
    def read(cls, folder: Path) -> SourceTree:
        """Read pyproject.toml. PluginError if it is missing or damaged, or names no plugin or no module in the tree."""
        project = _project(folder)
        name, version = project.get("name"), project.get("version", "0")
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise PluginError(f"{folder / 'pyproject.toml'} gives no valid name under [project]: {name!r}")
        tree = cls(folder, name, str(version), _entry_points(folder, project))
        for module in tree.entry_points.values():
            if tree.file(module) is None:
                raise PluginError(
                    f"there is no module {module!r} in {folder / 'src'} or {folder}, but the entry point in "
                    "pyproject.toml names it. A source tree has its modules below src, or next to pyproject.toml. "
                    f"For another layout, install the plugin and run: aaeframe plugins check {name}"
                )
        return tree

    @property
    def roots(self) -> tuple[Path, Path]:
        """The folders that its modules are imported from: src, then the folder itself."""
        return self.folder / "src", self.folder

    def file(self, module: str) -> Path | None:
        """The file of a module, its `__init__.py` for a package; None if it is not in the tree."""
        inner = Path(*module.split("."))
        forms = (it for root in self.roots for it in (root / inner / "__init__.py", root / inner.with_suffix(".py")))
        return next((it for it in forms if it.is_file()), None)


def _project(folder: Path) -> Mapping[str, Any]:
    """The table [project] of pyproject.toml."""
    path = folder / "pyproject.toml"
    if not path.is_file():
        raise PluginError(f"there is no {path}: give the folder of a plugin, in which its pyproject.toml is")
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except ValueError as error:  # TOMLDecodeError and UnicodeDecodeError are
        raise PluginError(f"{path} is not valid TOML: {error}") from error
    project = table.get("project")
    if not isinstance(project, dict):
        raise PluginError(f"{path} has no table [project], which names the plugin")
    return project


def _entry_points(folder: Path, project: Mapping[str, Any]) -> Mapping[str, str]:
    """The entry points of a plugin, of which there is at least one."""
    groups = project.get("entry-points", {})
    found = groups.get(GROUP, {}) if isinstance(groups, dict) else {}
    if not isinstance(found, dict) or not found or not all(isinstance(it, str) for it in found.values()):
        late = "entry-points" in project.get("dynamic", ())
        advice = (
            "Only its build knows them: install it, then run aaeframe plugins check NAME"
            if late
            else f'Add the table [project.entry-points.{GROUP}] with a line such as: torus = "aaeframe_torus"'
        )
        raise PluginError(f"{folder / 'pyproject.toml'} names no entry point of the group {GROUP!r}. {advice}")
    return {name: module.strip() for name, module in found.items()}
