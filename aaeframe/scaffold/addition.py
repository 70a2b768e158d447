"""Add a component to the package of a plugin: its module, its test, and its record in the hook module."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from aaeframe.components.discovery import hook_of
from aaeframe.components.registry import Kind, Registry
from aaeframe.components.source_tree import SourceTree
from aaeframe.errors import PackageError, PluginError
from aaeframe.scaffold.catalogue import has_hook
from aaeframe.scaffold.names import Names
from aaeframe.scaffold.package import catalogued, component_words, filled, one_line, suffix
from aaeframe.storage.atomic import write_atomically, writing


@dataclass(frozen=True, slots=True)
class Addition:
    """A component that is not yet written into its package."""

    names: Names
    kind: Kind
    summary: str
    tree: SourceTree
    contents: Mapping[Path, str]
    """The text of each new file."""
    hooks: Path
    """The hook module, which exists."""
    catalogue: str
    """Its new text."""

    def write(self) -> None:
        """Write the new files, then the hook module; nothing is left of them if that fails. RunError then."""
        with writing(self.tree.folder):
            aside = Path(tempfile.mkdtemp(prefix=".aaeframe-new-", dir=self.tree.folder))
            made: list[Path] = []
            try:
                for number, (path, text) in enumerate(self.contents.items()):
                    new = aside / str(number)
                    new.write_text(text, encoding="utf-8", newline="\n")
                    if not path.parent.exists():
                        path.parent.mkdir()
                        made.append(path.parent)
                    made.append(new.rename(path))
                write_atomically(self.hooks, self.catalogue.encode())
            except BaseException:
                for path in reversed(made):
                    path.rmdir() if path.is_dir() else path.unlink()
                raise
            finally:
                shutil.rmtree(aside, ignore_errors=True)


def is_package(folder: Path) -> bool:
    """Whether there is a Python project in the folder, to which a component may be added."""
    return (folder / "pyproject.toml").is_file()


def design_addition(name: str, kind: Kind, registry: Registry, folder: Path, *, summary: str | None = None) -> Addition:
    """The component of this name and kind for the package in this folder.

    Raises PackageError if the name or the summary is not valid, the name is used, a file exists, or the folder is not
    the package of a plugin whose hook module can be added to.
    """
    names, summary = Names.of(name), one_line(summary, kind)
    names.check_unoffered(kind, registry)
    try:
        tree = SourceTree.read(folder)
    except PluginError as error:
        raise PackageError(f"nothing can be added to {folder}: {error}; or give --out another folder") from error
    module, hooks = _hook_module(tree, hook_of(kind))
    words = component_words(names, kind, summary) | {"distribution": tree.distribution, "module": module}
    tests = tree.folder / "tests"
    contents = {
        hooks.parent / f"{names.stem}.{suffix(kind)}": filled(f"{kind}.{suffix(kind)}", words),
        tests / f"test_{names.stem}.py": filled(f"test_{kind}.py", words),
    }
    if not _has_conformance_test(tests):
        contents[tests / "test_conformance.py"] = filled("test_conformance.py", words)
    taken = [str(path) for path in (*contents, hooks.parent / names.stem) if path.exists() or path.is_symlink()]
    if taken:
        raise PackageError(f"{', '.join(taken)}: there already, and nothing is overwritten. Choose another name")
    return Addition(names, kind, summary, tree, contents, hooks, catalogued(_text(hooks), kind, words))


def _hook_module(tree: SourceTree, hook: str) -> tuple[str, Path]:
    """The package that the component becomes part of, and the file of the hook module.

    Of several entry points, that whose module implements the hook is meant.
    """
    found = {module: path for module in tree.entry_points.values() if (path := tree.file(module)) is not None}
    fitting = {it: path for it, path in found.items() if len(found) == 1 or has_hook(_text(path), hook)}
    if len(fitting) != 1:
        raise PackageError(
            f"{tree.distribution} has the hook modules {', '.join(found)}, of which {len(fitting)} implement {hook}. "
            "So it is not clear where the component belongs: write its record by hand"
        )
    ((module, path),) = fitting.items()
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    if not package:
        raise PackageError(
            f"{path} is a module, and a second file needs a package: "
            f"move it to {path.with_suffix('') / '__init__.py'}, then try again"
        )
    return package, path


def _has_conformance_test(tests: Path) -> bool:
    words = ("conformance_cases", "plugin_checks")
    return any(word in _text(path) for path in tests.rglob("*.py") for word in words)


def _text(path: Path) -> str:
    """The text of a source file, with its line endings, without the mark of UTF-8 that some editors put first."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise PackageError(f"{path} is not UTF-8: {error}") from error
