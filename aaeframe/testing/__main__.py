"""`python -m aaeframe.testing PATH`: checks a plugin in its source tree, before it is installed.

It runs `aaeframe plugins check` in a process in which the tree looks like an installed distribution.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from aaeframe.components.registry import normalized
from aaeframe.components.source_tree import SourceTree
from aaeframe.errors import AaeframeError
from aaeframe.hookspecs import GROUP


def main() -> None:
    """Check the plugin, and exit as `aaeframe plugins check` does: 0 if nothing failed, 1 if a check did, else 2."""
    parser = argparse.ArgumentParser(
        prog="python -m aaeframe.testing",
        description="Check a plugin in its source tree, as `aaeframe plugins check` checks one that is installed.",
    )
    parser.add_argument("path", metavar="PATH", type=Path, help="folder of the plugin's pyproject.toml")
    parser.add_argument("name", metavar="NAME", nargs="?", help="one component, with options if it needs some")
    parser.add_argument("--kind", metavar="KIND", help="check components of this kind only")
    parser.add_argument("--json", action="store_true", help="print JSON")
    asked = parser.parse_args()
    options = [*([] if asked.kind is None else ["--kind", asked.kind]), *(["--json"] if asked.json else [])]
    try:
        tree = SourceTree.read(asked.path)
    except AaeframeError as error:
        parser.exit(error.exit_code, f"error: {error}\n")
    sys.exit(_check(tree, [asked.name or normalized(tree.distribution), *options]))


def _check(tree: SourceTree, arguments: Sequence[str]) -> int:
    """Run the command on the tree, which hides an installed version of the distribution, and return its exit code."""
    with tempfile.TemporaryDirectory(prefix="aaeframe-source-") as aside:
        _write_dist_info(tree, Path(aside))
        path = [aside, *(str(it.resolve()) for it in tree.roots), *filter(None, [os.environ.get("PYTHONPATH")])]
        # With PYTHONSAFEPATH the current folder, which Python would put first, does not hide the tree.
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path), "PYTHONSAFEPATH": "1"}
        command = [sys.executable, "-m", "aaeframe", "plugins", "check", *arguments]
        return subprocess.run(command, env=environment, check=False).returncode


def _write_dist_info(tree: SourceTree, folder: Path) -> None:
    """Write the metadata by which the tree is a distribution: its name, version and entry points."""
    info = folder / f"{normalized(tree.distribution).replace('-', '_')}-0.dist-info"
    info.mkdir()
    metadata = f"Metadata-Version: 2.1\nName: {tree.distribution}\nVersion: {tree.version}\n"
    (info / "METADATA").write_text(metadata, encoding="utf-8")
    lines = [f"{name} = {module}" for name, module in tree.entry_points.items()]
    (info / "entry_points.txt").write_text("\n".join([f"[{GROUP}]", *lines, ""]), encoding="utf-8")


if __name__ == "__main__":
    main()
