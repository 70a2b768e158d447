"""What things are called in a plugin's package, all from one name."""

from __future__ import annotations

import keyword
import re
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Final

from aaeframe.components.registry import Kind, Registry
from aaeframe.errors import PackageError

PREFIX: Final = "aaeframe-"
LONGEST: Final = 30
"""Characters of a component's name, which people type."""
_PATTERN: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class Names:
    """The names of a component, of its module and class, and of the distribution they come in."""

    component: str
    """Such as "swiss-cheese"."""

    @classmethod
    def of(cls, text: str) -> Names:
        """From what the user typed: "Swiss_Cheese" and "aaeframe-swiss-cheese" are "swiss-cheese".

        Raises PackageError if no component can have this name.
        """
        name = re.sub(r"[-_.\s]+", "-", text).lower().removeprefix(PREFIX)
        if not _PATTERN.fullmatch(name) or len(name) > LONGEST:
            raise PackageError(
                f"{text!r} cannot be the name of a component: it takes lower-case letters, digits and single hyphens "
                f"inside, a letter first, at most {LONGEST} of them, as in torus or swiss-cheese"
            )
        names = cls(name)
        for word in (names.stem, names.class_name):
            if keyword.iskeyword(word):
                raise PackageError(f"{text!r} cannot be the name of a component: {word} is a keyword of Python")
        return names

    @property
    def distribution(self) -> str:
        """What pip installs, such as "aaeframe-swiss-cheese"."""
        return f"{PREFIX}{self.component}"

    @property
    def stem(self) -> str:
        """The component's own module in the package, such as "swiss_cheese"."""
        return self.component.replace("-", "_")

    @property
    def module(self) -> str:
        """The package that is imported, such as "aaeframe_swiss_cheese"."""
        return f"aaeframe_{self.stem}"

    @property
    def class_name(self) -> str:
        """Such as "SwissCheese"."""
        return "".join(part.capitalize() for part in self.component.split("-"))

    def check_free(self, kind: Kind, registry: Registry) -> None:
        """PackageError if something that is installed has one of these names already."""
        advice = "choose another name, or uninstall that first"
        for plugin in registry.plugins:
            if plugin.distribution == self.distribution:
                raise PackageError(f"{self.distribution} {plugin.version} is installed already: {advice}")
        for offer in registry.offers(kind):
            if offer.name == self.component:
                raise PackageError(
                    f"{offer.distribution} {offer.version} offers the {kind} {self.component!r} already, and a short "
                    "name is good while one distribution offers it: choose another name"
                )
        if find_spec(self.module) is not None:
            raise PackageError(f"there is a module {self.module} here already: {advice}")
