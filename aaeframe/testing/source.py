"""A plugin in its source tree, presented to the registry as if it were installed."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from aaeframe.components.registry import normalized
from aaeframe.components.source_tree import SourceTree
from aaeframe.hookspecs import GROUP


def check_source(folder: Path, name: str | None = None, options: Sequence[str] = ()) -> int:
    """Run `aaeframe plugins check` on a source tree, in a process of its own, and return the exit code.

    The tree comes before an installed version of the same distribution. PluginError if the folder holds no plugin.

    Args:
        folder: The folder of pyproject.toml.
        name: A component, with options in parentheses if it needs some; everything that the plugin offers if None.
        options: Options of the command, such as `--json`.
    """
    tree = SourceTree.read(folder)
    command = [sys.executable, "-m", "aaeframe", "plugins", "check", name or normalized(tree.distribution), *options]
    with tempfile.TemporaryDirectory(prefix="aaeframe-source-") as aside:
        _write_dist_info(tree, Path(aside))
        path = [aside, *(str(it.resolve()) for it in tree.roots), *filter(None, [os.environ.get("PYTHONPATH")])]
        # With PYTHONSAFEPATH the current folder, which Python would put first, does not hide the tree.
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path), "PYTHONSAFEPATH": "1"}
        return subprocess.run(command, env=environment, check=False).returncode


def _write_dist_info(tree: SourceTree, folder: Path) -> None:
    """Write the metadata by which the tree is a distribution: its name, version and entry points."""
    info = folder / f"{normalized(tree.distribution).replace('-', '_')}-0.dist-info"
    info.mkdir()
    metadata = f"Metadata-Version: 2.1\nName: {tree.distribution}\nVersion: {tree.version}\n"
    (info / "METADATA").write_text(metadata, encoding="utf-8")
    lines = [f"{name} = {module}" for name, module in tree.entry_points.items()]
    (info / "entry_points.txt").write_text("\n".join([f"[{GROUP}]", *lines, ""]), encoding="utf-8")
