"""The author of a generated package."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from typing import Final

import tomli_w

from aaeframe.errors import PackageError

_WITH_ADDRESS: Final = re.compile(r"(?P<name>[^<>]+?)\s*<(?P<email>[^<>@\s]+@[^<>@\s]+)>")


@dataclass(frozen=True, slots=True)
class Author:
    """A name for the license, and optionally an address for the package's metadata."""

    name: str
    email: str | None = None

    @classmethod
    def of(cls, text: str) -> Author:
        """Parse "Ada Lovelace" or "Ada Lovelace <ada@example.org>"; PackageError if it is neither."""
        text = text.strip()
        found = _WITH_ADDRESS.fullmatch(text)
        if not text or not text.isprintable() or (found is None and re.search(r"[<>]", text)):
            raise PackageError(
                f'{text!r} is not an author: give --author "Name", or --author "Name <name@example.org>"'
            )
        return cls(text) if found is None else cls(found["name"], found["email"])

    def toml(self) -> str:
        """The keys of a TOML table, on one line."""
        known = {"name": self.name} | ({} if self.email is None else {"email": self.email})
        return ", ".join(tomli_w.dumps(known).splitlines())


def author_in_git() -> str | None:
    """The name that git signs commits with; None if there is no git or no name.

    Without the address, because a package registry would publish it.
    """
    git = shutil.which("git")
    if git is None:
        return None
    asked = [git, "config", "--get", "user.name"]
    done = subprocess.run(asked, capture_output=True, encoding="utf-8", errors="replace", check=False)
    return done.stdout.strip() or None
