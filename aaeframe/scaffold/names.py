"""The names in a plugin's package, all derived from the component's name."""

from __future__ import annotations

import keyword
import re
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Final

from aaeframe.components.discovery import words
from aaeframe.components.registry import Kind, Registry
from aaeframe.errors import PackageError

PREFIX: Final = "aaeframe-"
LONGEST: Final = 30
"""The largest length of a component's name, because users type it."""
_PATTERN: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class Names:
    """The names of a component, of its module and class, and of its distribution."""

    component: str
    """The component's name, such as "swiss-cheese"."""

    @classmethod
    def of(cls, text: str) -> Names:
        """Names from the user's text: "Swiss_Cheese" and "aaeframe-swiss-cheese" become "swiss-cheese".

        Raises PackageError if no component can have this name.
        """
        name = re.sub(r"[-_.\s]+", "-", text).lower().removeprefix(PREFIX)
        if not _PATTERN.fullmatch(name) or len(name) > LONGEST:
            raise PackageError(
                f"{text!r} cannot be the name of a component. Begin with a letter, and use lower-case letters, digits "
                f"and single hyphens inside, at most {LONGEST} characters, as in torus or swiss-cheese"
            )
        names = cls(name)
        for word in (names.stem, names.class_name):
            if keyword.iskeyword(word):
                raise PackageError(f"{text!r} cannot be the name of a component: {word} is a keyword of Python")
        if name == "conformance":
            raise PackageError(f"{text!r} cannot be the name of a component: tests/test_conformance.py is another test")
        return names

    @property
    def distribution(self) -> str:
        """The name for pip, such as "aaeframe-swiss-cheese"."""
        return f"{PREFIX}{self.component}"

    @property
    def stem(self) -> str:
        """The component's own module in the package, such as "swiss_cheese"."""
        return self.component.replace("-", "_")

    @property
    def module(self) -> str:
        """The imported package, such as "aaeframe_swiss_cheese"."""
        return f"aaeframe_{self.stem}"

    @property
    def class_name(self) -> str:
        """The name of the class, such as "SwissCheese"."""
        return "".join(part.capitalize() for part in self.component.split("-"))

    def check_free(self, kind: Kind, registry: Registry) -> None:
        """PackageError if an installed package, component or module has one of these names."""
        advice = "choose another name, or uninstall that first"
        for plugin in registry.plugins:
            if plugin.distribution == self.distribution:
                raise PackageError(f"{self.distribution} {plugin.version} is installed already: {advice}")
        self.check_unoffered(kind, registry)
        if find_spec(self.module) is not None:
            raise PackageError(f"there is a module {self.module} here already: {advice}")

    def check_unoffered(self, kind: Kind, registry: Registry) -> None:
        """PackageError if an installed package offers a component of this kind and name."""
        for offer in registry.offers(kind):
            if offer.name == self.component:
                raise PackageError(
                    f"{offer.distribution} {offer.version} offers the {words(kind)} {self.component!r} already, and a "
                    "short name is good while one distribution offers it: choose another name"
                )
