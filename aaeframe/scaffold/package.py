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

import tomli_w

from aaeframe.components.discovery import hook_of, words
from aaeframe.components.registry import Kind, Registry
from aaeframe.errors import PackageError
from aaeframe.hookspecs import API
from aaeframe.scaffold.author import Author, author_in_git
from aaeframe.scaffold.catalogue import Record, with_record
from aaeframe.scaffold.names import Names
from aaeframe.storage.atomic import writing
from aaeframe.version import __version__

FILES: Final[Mapping[str, str]] = {
    "$module/$stem.$suffix": "$kind.$suffix",
    "$module/__init__.py": "init.py",
    "$module/py.typed": "py.typed",
    "tests/test_$stem.py": "test_$kind.py",
    "tests/test_conformance.py": "test_conformance.py",
    "pyproject.toml": "pyproject.toml",
    "README.md": "README.md",
    "LICENSE": "LICENSE",
    ".gitignore": "gitignore",
    ".github/workflows/test.yml": "workflow.yml",
}
"""The path of each file of the package, and its template."""


COMMANDS: Final[Mapping[Kind, str]] = {
    "data-set": "train --data",
    "metric": "evaluate RUN --metric",
    "benchmark": "bench --case parzen --with",
}
"""The commands that take a component of these kinds; of others it is `aaeframe train --KIND`."""
FUNCTIONS: Final = ("data-set", "metric", "benchmark")
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
    "observer": Start("the best epoch, in a file of the run", 'metric="seconds"'),
    "benchmark": Start("the Parzen log-likelihood by blocks of samples", "rows=100"),
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


def design(
    name: str, kind: Kind, registry: Registry, *, author: str | None = None, summary: str | None = None
) -> Package:
    """The package of a component of this name and kind.

    The default author is git's, or else "the authors of" the distribution. Raises PackageError if the name, the author
    or the summary is not valid, or the name is already used by an installed package.
    """
    names = Names.of(name)
    names.check_free(kind, registry)
    if author is None:
        author = author_in_git() or f"the authors of {names.distribution}"
    who = Author.of(author)
    summary = one_line(summary, kind)
    words = {**component_words(names, kind, summary), **_package_words(names, kind, summary, who)}
    contents = {
        Template(path).substitute(words): filled(Template(source).substitute(words), words)
        for path, source in FILES.items()
    }
    hooks = f"{names.module}/__init__.py"
    contents[hooks] = catalogued(contents[hooks], kind, words)
    return Package(names, kind, summary, who, contents)


def write(package: Package, folder: Path) -> None:
    """Write the package as this folder, which must be empty or not exist.

    It is written to a temporary folder and renamed, so that it is complete or absent. Raises PackageError if the folder
    is not empty, RunError if it cannot be written.
    """
    with writing(folder):
        standing = folder.exists()
        if standing and (not folder.is_dir() or any(folder.iterdir())):
            raise PackageError(
                f"{folder} is there already: give --out a folder that is empty or not there, or the package of a plugin"
            )
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


def one_line(summary: str | None, kind: Kind) -> str:
    """The summary as given, without a full stop; if not given, that of the component that is written."""
    if summary is None:
        return STARTS[kind].summary
    text = summary.strip().removesuffix(".")
    if not text or not text.isprintable():
        raise PackageError(f'{summary!r} is not a summary: give one line of text, --summary "a ring in the plane"')
    return text


def filled(template: str, words: Mapping[str, str]) -> str:
    """The text of a template with these values of its $words."""
    return Template(_template(template)).substitute(words)


def catalogued(source: str, kind: Kind, words: Mapping[str, str]) -> str:
    """The source of a hook module with the record of the component of these $words."""
    place = "$module:$stem.toml" if kind == "preset" else "$module.$stem:$class_name"
    record = Record(kind, words["name"], Template(place).substitute(words), words["summary"])
    return with_record(source, record, filled("hook.py", words))


def _template(name: str) -> str:
    return (files("aaeframe.scaffold") / "templates" / f"{name}.template").read_text("utf-8")


def use(kind: Kind, component: str) -> str:
    """The command that uses a component of a kind."""
    return f"aaeframe {COMMANDS.get(kind, f'train --{kind}')} {component}"


def _try(kind: Kind, component: str) -> str:
    """The command that tries a component in a short training."""
    if kind == "metric":
        return f"aaeframe train --epochs 1 --out run && aaeframe evaluate run --metric {component}"
    return f"{use(kind, component)} {'--quick' if kind == 'benchmark' else '--epochs 1'}"


def suffix(kind: Kind) -> str:
    """The suffix of the file that is the component."""
    return "toml" if kind == "preset" else "py"


def component_words(names: Names, kind: Kind, summary: str) -> dict[str, str]:
    """The values of the $words in the templates of a component and its test."""
    factory = names.stem if kind in FUNCTIONS else names.class_name
    if re.search(rf"\b{factory}\b", _template(f"{kind}.{suffix(kind)}") + _template(f"test_{kind}.py")):
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
        "hook": hook_of(kind),
        "suffix": suffix(kind),
        "summary": summary,
    }


def _package_words(names: Names, kind: Kind, summary: str, author: Author) -> dict[str, str]:
    """The values of the $words in the other templates of a package."""
    description, option = f"The {words(kind)} {names.component} for aaeframe: {summary}", STARTS[kind].option
    return {
        "description_toml": tomli_w.dumps({"description": description}).strip(),
        "use": use(kind, names.component),
        "try": _try(kind, names.component),
        "use_changed": use(kind, f'"{names.component}({option})"' if option else f"{names.component} --epochs 2"),
        "api": str(API),
        "versions": f">={__version__},<{int(__version__.partition('.')[0]) + 1}",
        "author": author.name,
        "author_toml": author.toml(),
        "year": str(date.today().year),
    }
