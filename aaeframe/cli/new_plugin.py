"""`aaeframe plugins new`: creates a package with a component."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aaeframe.cli import options

if TYPE_CHECKING:
    from aaeframe.scaffold import Package


def new(
    context: typer.Context,
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Name of the component, such as torus; the package is aaeframe-torus.")
    ],
    kind: Annotated[str, typer.Option(metavar="KIND", help="Kind of component, such as prior or data-set.")],
    out: Annotated[
        Path | None,
        typer.Option(parser=options.folder, metavar="FOLDER", help="Folder to write; default: ./aaeframe-NAME."),
    ] = None,
    author: Annotated[
        str | None, typer.Option(metavar="AUTHOR", help='"Name" or "Name <address>"; default: the user of git.')
    ] = None,
) -> None:
    """Create a package with a working component: module, tests, README, license, CI. Uses no network."""
    from aaeframe.cli.console import say
    from aaeframe.scaffold import design, write

    package = design(name, options.kind(kind), options.registry(context), author=author)
    folder = out or Path(package.names.distribution)
    write(package, folder)
    for line in _next_steps(package, folder):
        say(line)


def _next_steps(package: Package, folder: Path) -> list[str]:
    """The lines that say what was written and what to do next."""
    import shlex

    from aaeframe.components.discovery import words
    from aaeframe.scaffold.package import use

    name, stem, kind = package.names.component, package.names.stem, package.kind
    module, test = (path for path in package.contents if Path(path).stem in (stem, f"test_{stem}"))
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
