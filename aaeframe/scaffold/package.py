"""Design the files of a package, and write all of them or none."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Final, NamedTuple

from aaeframe.components.discovery import words
from aaeframe.components.registry import Kind, Registry
from aaeframe.errors import PackageError
from aaeframe.hookspecs import API
from aaeframe.scaffold.author import Author, author_in_git
from aaeframe.scaffold.names import Names
from aaeframe.storage.atomic import writing
from aaeframe.version import __version__

FILES: Final[Mapping[str, str]] = {
    "$module/$stem.$suffix": "$kind.$suffix",
    "$module/__init__.py": "init.py",
    "$module/py.typed": "py.typed",
    "tests/test_$stem.py": "test_$kind.py",
    "pyproject.toml": "pyproject.toml",
    "README.md": "README.md",
    "LICENSE": "LICENSE",
    ".gitignore": "gitignore",
    ".github/workflows/test.yml": "workflow.yml",
}
"""The path of each file of the package, and its template."""


COMMANDS: Final[Mapping[Kind, str]] = {"data-set": "train --data", "metric": "evaluate RUN --metric"}
"""The commands that take a component of these kinds; of others it is `aaeframe train --KIND`."""
FUNCTIONS: Final = ("data-set", "metric")
"""The kinds whose template is a function, not a class."""


class Start(NamedTuple):
    """The component that a package begins with."""

    summary: str
    option: str
    """One of its options, as shown in the README; empty for a preset, which has none."""


STARTS: Final[Mapping[Kind, Start]] = {
    "prior": Start("a ring in the plane", "radius=3"),
    "encoder": Start("z = f(x) + scale eps, noise of one size for all x", "scale=0.5"),
    "discriminator": Start("two leaky ReLU layers; labels are embedded", "hidden=100"),
    "network": Start("residual layers each way; any data", "width=100"),
    "metric": Start("the coverage of the prior by the codes", "radius=0.5"),
    "preset": Start("a small autoencoder of digits on a swiss roll", ""),
    "data-set": Start("two half moons in the plane", "noise=0.2"),
    "recipe": Start("adversarial autoencoding with the absolute error", "weight=2"),
}


@dataclass(frozen=True, slots=True)
class Package:
    """A package before it is written."""

    names: Names
    kind: Kind
    summary: str
    author: Author
    contents: Mapping[str, str]
    """The text of each file by its path in the package; the files that the author edits are first."""


def design(name: str, kind: Kind, registry: Registry, *, author: str | None = None) -> Package:
    """The package of a component of this name and kind.

    The default author is git's, or else "the authors of" the distribution. Raises PackageError if the name or the
    author is not valid, or the name is already used by an installed package.
    """
    names = Names.of(name)
    names.check_free(kind, registry)
    if author is None:
        author = author_in_git() or f"the authors of {names.distribution}"
    who = Author.of(author)
    words = _words(names, kind, who)
    contents = {
        Template(path).substitute(words): Template(_template(Template(source).substitute(words))).substitute(words)
        for path, source in FILES.items()
    }
    return Package(names, kind, STARTS[kind].summary, who, contents)


def write(package: Package, folder: Path) -> None:
    """Write the package as this folder, which must be empty or not exist.

    It is written to a temporary folder and renamed, so that it is complete or absent. Raises PackageError if the folder
    is not empty, RunError if it cannot be written.
    """
    with writing(folder):
        standing = folder.exists()
        if standing and (not folder.is_dir() or any(folder.iterdir())):
            raise PackageError(f"{folder} is there already: give --out a folder that is empty, or not there")
        home = folder if standing else folder.parent
        home.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=".aaeframe-new-", dir=home))
        try:
            made = aside / "package"
            _write_contents(package, made)
            if standing:
                _move_contents(made, folder)  # not replaced: it may be someone's current directory
            else:
                made.rename(folder)
        finally:
            shutil.rmtree(aside, ignore_errors=True)


def _write_contents(package: Package, folder: Path) -> None:
    for path, text in package.contents.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8", newline="\n")


def _move_contents(source: Path, target: Path) -> None:
    moved: list[Path] = []
    try:
        for entry in sorted(source.iterdir()):
            moved.append(entry.rename(target / entry.name))
    except OSError:
        for entry in moved:
            entry.rename(source / entry.name)
        raise


def _template(name: str) -> str:
    return (files("aaeframe.scaffold") / "templates" / f"{name}.template").read_text("utf-8")


def use(kind: Kind, component: str) -> str:
    """The command that uses a component of a kind."""
    return f"aaeframe {COMMANDS.get(kind, f'train --{kind}')} {component}"


def _suffix(kind: Kind) -> str:
    """The suffix of the file that is the component."""
    return "toml" if kind == "preset" else "py"


def _words(names: Names, kind: Kind, author: Author) -> dict[str, str]:
    """The values of the $words in the templates."""
    option, factory = STARTS[kind].option, names.stem if kind in FUNCTIONS else names.class_name
    if re.search(rf"\b{factory}\b", _template(f"{kind}.{_suffix(kind)}") + _template(f"test_{kind}.py")):
        # the templates use the name for something else, such as pydantic's Field
        factory += f"_{kind.replace('-', '_')}" if kind in FUNCTIONS else kind.capitalize()
    return {
        "name": names.component,
        "distribution": names.distribution,
        "module": names.module,
        "stem": names.stem,
        "class_name": factory,
        "kind": kind,
        "kind_words": words(kind),
        "hook": f"aaeframe_{kind.replace('-', '_')}s",
        "place": f"{names.module}:{names.stem}.toml" if kind == "preset" else f"{names.module}.{names.stem}:{factory}",
        "suffix": _suffix(kind),
        "use": use(kind, names.component),
        "use_changed": use(kind, f'"{names.component}({option})"' if option else f"{names.component} --epochs 2"),
        "summary": STARTS[kind].summary,
        "api": str(API),
        "versions": f">={__version__},<{int(__version__.partition('.')[0]) + 1}",
        "author": author.name,
        "author_toml": author.toml(),
        "year": str(date.today().year),
    }
