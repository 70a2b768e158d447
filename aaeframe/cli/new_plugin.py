"""`aaeframe plugins new`: creates a package with a component, or adds a component to a package."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aaeframe.cli import options
from aaeframe.errors import ConfigError

if TYPE_CHECKING:
    from aaeframe.scaffold import Addition, Package


def new(
    context: typer.Context,
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Name of the component, such as torus; the package is aaeframe-torus.")
    ],
    kind: Annotated[str, typer.Option(metavar="KIND", help="Kind of component, such as prior or data-set.")],
    out: Annotated[
        Path | None,
        typer.Option(
            parser=options.folder,
            metavar="FOLDER",
            help="New folder to write, or package of a plugin to add to; default: ./aaeframe-NAME.",
        ),
    ] = None,
    summary: Annotated[
        str | None, typer.Option(metavar="TEXT", help="What it is, in one line; default: what is written.")
    ] = None,
    author: Annotated[
        str | None, typer.Option(metavar="AUTHOR", help='"Name" or "Name <address>"; default: the user of git.')
    ] = None,
) -> None:
    """Create a package with a working component: module, tests, README, license, CI. Uses no network.

    With --out, the folder of a plugin's package, add the component to it: module, test and record.
    """
    from aaeframe.cli.console import say
    from aaeframe.scaffold import design, design_addition, is_package, write

    wanted, registry = options.kind(kind), options.registry(context)
    if out is not None and is_package(out):
        if author is not None:
            raise ConfigError(f"--author is of a new package, and {out} is one already: leave --author out")
        addition = design_addition(name, wanted, registry, out, summary=summary)
        addition.write()
        lines = _steps_of_addition(addition)
    else:
        package = design(name, wanted, registry, author=author, summary=summary)
        folder = out or Path(package.names.distribution)
        write(package, folder)
        lines = _next_steps(package, folder)
    for line in lines:
        say(line)


def _next_steps(package: Package, folder: Path) -> list[str]:
    """The lines that say what was written and what to do next."""
    import shlex

    from aaeframe.components.discovery import words
    from aaeframe.scaffold.package import suffix, use

    name, stem, kind = package.names.component, package.names.stem, package.kind
    module, test = f"{package.names.module}/{stem}.{suffix(kind)}", f"tests/test_{stem}.py"
    return [
        f"wrote {folder}: the {words(kind)} {name!r}, {package.summary}; by {package.author.name}, MIT license",
        f"it works as it is; edit {module} and {test}",
        "",
        "next:",
        f"  cd {shlex.quote(str(folder))}",
        '  pip install -e ".[dev]"',
        "  pytest",
        f"  aaeframe plugins check {name}",
        f"  {use(kind, name)}",
        "  python -m build && twine upload dist/*",
    ]


def _steps_of_addition(addition: Addition) -> list[str]:
    """The lines that say what was added and what to do next."""
    import shlex

    from aaeframe.components.discovery import words
    from aaeframe.scaffold.package import use

    tree, name, kind = addition.tree, addition.names.component, addition.kind
    written = [path.relative_to(tree.folder) for path in addition.contents]
    return [
        f"added to {tree.distribution}: the {words(kind)} {name!r}, {addition.summary}",
        f"wrote {', '.join(map(str, written))}; its record is in {addition.hooks.relative_to(tree.folder)}",
        "it works as it is; edit it, and name it in the README",
        "",
        "next:",
        f"  cd {shlex.quote(str(tree.folder))}",
        "  python -m aaeframe.testing .",
        '  pip install -e ".[dev]"',
        "  pytest",
        f"  {use(kind, name)}",
    ]
